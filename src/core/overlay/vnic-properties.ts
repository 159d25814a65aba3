// Properties of VNICs: what may be given to create-vnic -p and set-linkprop, and the rows of show-linkprop.
import { OverlayError } from '@overlayadm/api';
import { type PropertyText, refuseRepeated } from '../property/arguments.ts';
import type { PropertyDescription } from '../property/description.ts';
import { parseValue, showText } from '../property/parse.ts';
import { MTU } from '../util/limits.ts';
import type { VnicRecord } from './record.ts';

/** One row of show-linkprop; null is shown as `--`. */
export interface VnicPropertyRow {
  readonly property: string;
  readonly access: 'r-' | 'rw';
  readonly value: string | null;
  /** What a reboot brings back. */
  readonly persistent: string | null;
  readonly default: string | null;
  readonly possible: string | null;
}

/** What of a VNIC can be changed. */
export type VnicChanges = Partial<Pick<VnicRecord, 'mtu' | 'netns'>>;

const SETTABLE = ['mtu', 'netns'] as const;
const READ_ONLY: readonly string[] = ['state'];

/** The range depends on the overlay, so it is looked at later. */
const MTU_PROPERTY: PropertyDescription = {
  name: 'mtu',
  type: 'uint',
  access: 'rw',
  required: false,
  unit: 'bytes',
  summary: 'Largest packet inside a frame of the VNIC',
  live: true,
  hasRefuse: false,
};

/** Those of the list, or all that can be changed. @throws OverlayError PROPERTY_UNKNOWN, PROPERTY_READ_ONLY */
function settable(names: readonly string[]): readonly (typeof SETTABLE)[number][] {
  // Of several, one that is known says more about what was meant than one that is not.
  const fixed = names.find((name) => READ_ONLY.includes(name));
  if (fixed !== undefined) {
    throw new OverlayError('PROPERTY_READ_ONLY', `${fixed}: read-only property`, { details: { property: fixed }, advice: `Leave out ${fixed}.` });
  }
  return names.map((name) => {
    const found = SETTABLE.find((known) => known === name);
    if (found !== undefined) return found;
    throw new OverlayError('PROPERTY_UNKNOWN', `invalid link property '${showText(name)}'`, {
      details: { property: name, known: SETTABLE },
      advice: `Known of a VNIC are: ${SETTABLE.join(', ')}.`,
    });
  });
}

/** @throws OverlayError PROPERTY_UNKNOWN, PROPERTY_READ_ONLY, PROPERTY_REPEATED, PROPERTY_INVALID. Whether a namespace exists is for the kernel. */
export function readChanges(given: readonly PropertyText[]): VnicChanges {
  settable(given.map(({ name }) => name));
  refuseRepeated(given);
  const text = (property: string): string | undefined => given.find(({ name }) => name === property)?.text;
  const [mtu, netns] = [text('mtu'), text('netns')];
  return {
    ...(mtu === undefined ? {} : { mtu: Number(parseValue('mtu', MTU_PROPERTY, mtu)) }),
    ...(netns === undefined ? {} : { netns }),
  };
}

/** `names`: null for all. */
export function defaultChanges(names: readonly string[] | null, overlayMtu: number): VnicChanges {
  // Not netns, unless it is named: nobody who resets an mtu wants the VNIC out of its namespace, without its addresses.
  const wanted = settable(names ?? ['mtu']);
  return {
    ...(wanted.includes('mtu') ? { mtu: overlayMtu } : {}),
    ...(wanted.includes('netns') ? { netns: null } : {}),
  };
}

/** @throws OverlayError MTU_RANGE */
export function checkMtu(vnic: string, mtu: number, overlay: { readonly name: string; readonly mtu: number }): void {
  if (mtu >= MTU.min && mtu <= overlay.mtu) return;
  const why = mtu > overlay.mtu ? `${overlay.name} has mtu ${overlay.mtu}` : `at least ${MTU.min}`;
  throw new OverlayError('MTU_RANGE', `${vnic}: mtu ${mtu} is outside of the supported range (${MTU.min}-${overlay.mtu}; ${why})`, {
    details: { vnic, mtu, min: MTU.min, max: overlay.mtu },
    advice: mtu > overlay.mtu ? `Raise the mtu of ${overlay.name} first, or give at most ${overlay.mtu}.` : `Give at least ${MTU.min}.`,
  });
}

export interface Shown {
  /** As it is now: bytes, and in the words of show-vnic. */
  readonly mtu: number;
  readonly state: string;
  readonly record: VnicRecord;
  /** Undefined for a temporary one. */
  readonly saved: VnicRecord | undefined;
  /** Undefined while the overlay is not there. */
  readonly overlayMtu: number | undefined;
}

/** In the order of their names; `state` as illumos has it for every link. */
export function propertyRows({ mtu, state, record, saved, overlayMtu }: Shown): readonly VnicPropertyRow[] {
  const text = (value: number | undefined): string | null => (value === undefined ? null : String(value));
  return [
    {
      property: 'mtu',
      access: 'rw',
      value: text(mtu),
      persistent: text(saved?.mtu),
      default: text(overlayMtu),
      possible: overlayMtu === undefined ? null : `${MTU.min}-${overlayMtu}`,
    },
    { property: 'netns', access: 'rw', value: record.netns, persistent: saved?.netns ?? null, default: null, possible: null },
    { property: 'state', access: 'r-', value: state, persistent: null, default: 'up', possible: 'up,down' },
  ];
}
