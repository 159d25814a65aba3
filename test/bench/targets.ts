// Targets by number, as target-sender.ts sends to them: their addresses, and how the namespace of a VNIC knows them without asking.
import type { Namespace } from '../helpers/netns.ts';

/** The VNIC that sends to them; its network has all of them. */
export const SOURCE_IP = '10.0.0.1';
export const SOURCE_PREFIX = 8;

const hex = (value: number): string => (value & 0xff).toString(16).padStart(2, '0');
export const macOf = (number: number): string => `02:00:5e:${hex(number >>> 16)}:${hex(number >>> 8)}:${hex(number)}`;
const ipOf = (number: number): string => `10.${128 | (number >>> 16)}.${(number >>> 8) & 0xff}.${number & 0xff}`;

/** Number 0 to `count` - 1 as permanent neighbours of the VNIC. */
export async function addNeighbours(inside: Namespace, vnic: string, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, number) => `neigh add ${ipOf(number)} lladdr ${macOf(number)} dev ${vnic} nud permanent\n`);
  await inside.must('ip', ['-batch', '-'], { input: lines.join('') });
}
