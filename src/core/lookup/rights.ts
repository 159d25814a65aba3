// How a child of overlayd gives up its rights: the arguments of setpriv(1), by what overlayd itself may do.
import { readFileSync } from 'node:fs';
import type { User } from './reach.ts';

/** The name of the account plugin hosts run as, where it exists. */
const SERVICE_ACCOUNT = 'overlayadm';
/** Its stand-in: nobody and nogroup (Debian; the kernel's overflowuid). */
const NOBODY: User = { uid: 65534, gid: 65534 };

// Bits of include/uapi/linux/capability.h.
const CAP_SETGID = 6n;
const CAP_SETUID = 7n;
const CAP_SETPCAP = 8n;

export interface Powers {
  /** May it become another user? */
  readonly changesUser: boolean;
  /** May it empty the bounding set? */
  readonly dropsBounds: boolean;
}

/** From the text of /proc/PID/status. */
export function powersOf(status: string): Powers {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const has = (bit: bigint): boolean => ((effective >> bit) & 1n) === 1n;
  return { changesUser: has(CAP_SETUID) && has(CAP_SETGID), dropsBounds: has(CAP_SETPCAP) };
}

export const ownPowers = (): Powers => powersOf(readFileSync('/proc/self/status', 'utf8'));

/** Groups that may use the control socket (daemon/roles.ts): other people's code is in none of them. */
const CONTROL_GROUPS = ['overlayadm', 'overlayadm-operator'];

/**
 * The account of plugin hosts, from the texts of /etc/passwd and /etc/group. Where its own group is one that may use the
 * control socket, as when useradd(8) made account and group of one name, it gets nobody's.
 */
export function serviceUser(passwd: string, groups: string): User {
  const fields = passwd
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === SERVICE_ACCOUNT);
  const [uid, gid] = [Number(fields?.[2]), Number(fields?.[3])];
  if (!Number.isInteger(uid) || !Number.isInteger(gid) || uid === undefined || gid === undefined || uid <= 0) return NOBODY;
  const isControl = groups.split('\n').some((line) => CONTROL_GROUPS.includes(line.split(':')[0] ?? '') && line.split(':')[2] === String(gid));
  return { uid, gid: isControl ? NOBODY.gid : gid };
}

export function readServiceUser(): User {
  try {
    return serviceUser(readFileSync('/etc/passwd', 'utf8'), readFileSync('/etc/group', 'utf8'));
  } catch {
    return NOBODY;
  }
}

/**
 * Arguments of setpriv in front of a program. `user`: who it becomes, undefined to stay; ignored without the power to change.
 * No right comes back by running a set-uid program, and the child dies with overlayd.
 */
export function setprivArguments(powers: Powers, user: User | undefined, groups: readonly number[] = []): readonly string[] {
  const ids = [`--reuid=${user?.uid}`, `--regid=${user?.gid}`, groups.length > 0 ? `--groups=${groups.join(',')}` : '--clear-groups'];
  return [
    ...(user !== undefined && powers.changesUser ? ids : []),
    '--inh-caps=-all',
    '--ambient-caps=-all',
    ...(powers.dropsBounds ? ['--bounding-set=-all'] : []),
    '--no-new-privs',
    '--pdeathsig=KILL',
    '--',
  ];
}
