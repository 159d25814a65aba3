// Properties as they are given: names with texts that nobody has read yet. The command line is split in cli/property-arguments.ts.
import { OverlayError } from '@overlayadm/api';
import { showText } from './parse.ts';

/** A value somebody typed, not read yet. `name` is the full name: `vxlan/listen_ip`. */
export interface PropertyText {
  readonly name: string;
  readonly text: string;
}

/** @throws OverlayError PROPERTY_REPEATED for the first name that is there twice. */
export function refuseRepeated(given: readonly PropertyText[]): void {
  const names = new Set<string>();
  for (const { name } of given) {
    if (names.has(name))
      throw new OverlayError('PROPERTY_REPEATED', `${showText(name)}: is given more than once`, {
        details: { property: name },
        advice: 'Give it once.',
      });
    names.add(name);
  }
}
