// Who may do what: root and two groups, of which a missing one gives nobody anything.
import { readFileSync } from 'node:fs';
import type { Credentials, Role } from '../rpc/server.ts';

export const READERS = 'overlayadm';
export const OPERATORS = 'overlayadm-operator';

/** Number of a group by /etc/group; undefined when there is none of this name. */
export function groupId(name: string, groupFile = '/etc/group'): number | undefined {
  let text: string;
  try {
    text = readFileSync(groupFile, 'utf8');
  } catch {
    return undefined;
  }
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}:`));
  const id = line?.split(':')[2];
  return id !== undefined && /^[0-9]+$/.test(id) ? Number(id) : undefined;
}

/** `own` is the user overlayd runs as: who may stop it may also ask it. Groups are looked up anew, so that a new group needs no restart. */
export function roleOf({ uid, gid, groups }: Credentials, own: number, group: (name: string) => number | undefined = groupId): Role {
  if (uid === 0 || uid === own) return 'change';
  const isIn = (name: string): boolean => {
    const id = group(name);
    return id !== undefined && (gid === id || groups.includes(id));
  };
  if (isIn(OPERATORS)) return 'change';
  return isIn(READERS) ? 'read' : 'none';
}
