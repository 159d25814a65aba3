// Values for the plugin that is here, which may be another version than the one they were given for. Pure.
import type { LookupPlugin } from '@overlayadm/api';
import type { HostedSpec, PropertyRecord } from './protocol.ts';

/** What has a default is always there (plugins/api PropertyValues): also a property that the overlay was made without. */
export function currentValues(
  { properties }: Pick<LookupPlugin, 'properties'>,
  { values, needs }: Pick<HostedSpec, 'values' | 'needs'>,
): PropertyRecord {
  const present = properties.filter(({ onlyFor }) => onlyFor === undefined || needs.includes(onlyFor));
  const defaults = present.flatMap(({ name, default: fallback }) => (fallback === undefined ? [] : [[name, fallback] as const]));
  return { ...Object.fromEntries(defaults), ...values };
}
