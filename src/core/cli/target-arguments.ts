// modify-overlay: which one of -d, -f and -s was asked for, in dladm's order of complaints.
import { MAX_NAME_CHARACTERS } from '../util/limits.ts';
import { usageError } from './usage.ts';

export type TargetChange =
  | { readonly kind: 'delete'; readonly mac: string }
  | { readonly kind: 'flush' }
  /** `text`: what was typed, for messages. */
  | { readonly kind: 'set'; readonly mac: string; readonly destination: string; readonly text: string };

export interface TargetOptions {
  /** Every -d and -s in the order typed, and how often -f was. */
  readonly deleted: readonly string[];
  readonly set: readonly string[];
  readonly flushes: number;
}

/** What ether_aton(3) reads. */
const MAC = /^[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2}){5}$/;

/** @throws OverlayError USAGE */
export function parseTargetChange({ deleted, set, flushes }: TargetOptions): TargetChange {
  for (const [letter, times] of [['d', deleted.length] as const, ['f', flushes] as const, ['s', set.length] as const]) {
    if (times > 1) throw usageError(`the option -${letter} cannot be specified more than once`);
  }
  const changes: TargetChange[] = [
    ...deleted.map((mac): TargetChange => ({ kind: 'delete', mac: checkedMac(mac) })),
    ...(flushes > 0 ? [{ kind: 'flush' } as const] : []),
    ...set.map(parseEntry),
  ];
  const [change] = changes;
  if (change === undefined) throw usageError('need to specify one of -d, -f, or -s');
  if (changes.length > 1) throw usageError('only one of -d, -f, or -s may be used');
  return change;
}

/** Cut at the first =; what a destination looks like depends on the encapsulation, which overlayd knows. */
function parseEntry(text: string): TargetChange {
  const at = text.indexOf('=');
  const [mac, destination] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 0 || mac === '' || destination === '' || destination.length > MAX_NAME_CHARACTERS) {
    throw usageError(`malformed value, expected mac=dest, got: ${text.slice(0, MAX_NAME_CHARACTERS)}`, 'dest is ip:port, [ipv6]:port, or drop.');
  }
  return { kind: 'set', mac: checkedMac(mac), destination, text };
}

/** @throws OverlayError USAGE */
export function checkedMac(text: string): string {
  if (!MAC.test(text)) throw usageError(`invalid mac address: ${text}`, 'Write six numbers of one or two hexadecimal digits with : between them.');
  return text;
}
