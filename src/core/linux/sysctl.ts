// Settings of one interface under /proc/sys: an overlay is never an interface of the host.
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { OverlayError } from '@overlayadm/api';
import { describeErrno, errnoOf } from './errors.ts';

/** Path below /proc/sys/net, and its value. The `ipv6` tree is not there on hosts without IPv6, which is as good. */
const ISOLATION = [
  ['ipv6', 'disable_ipv6', '1'],
  ['ipv6', 'accept_ra', '0'],
  ['ipv4', 'rp_filter', '1'],
] as const;

const ROOT = '/proc/sys/net';

/**
 * Of our own network namespace, which is whose files /proc/sys/net shows. The name is taken as it is: a path component
 * may hold dots. `root` is for tests.
 * @throws OverlayError SYSCTL_REFUSED
 */
export function isolateInterface(name: string, root = ROOT): void {
  for (const [family, setting, value] of ISOLATION) {
    const path = `${root}/${family}/conf/${name}/${setting}`;
    try {
      // 'r+' as flag, because procfs is not to be asked to make or cut files.
      writeFileSync(path, value, { flag: 'r+' });
    } catch (error) {
      const errno = errnoOf(error) ?? 0;
      if (errno === constants.errno.ENOENT && family === 'ipv6') continue;
      throw refused(name, path, errno, error);
    }
  }
}

function refused(name: string, path: string, errno: number, cause: unknown): OverlayError {
  const { code, text } = describeErrno(errno);
  const advice =
    errno === constants.errno.EROFS
      ? '/proc/sys is mounted read-only, as in a container without privileges; make it writable, or run overlayd on the host.'
      : 'Run it as root, in the network namespace of the link.';
  return new OverlayError('SYSCTL_REFUSED', `${name}: cannot write ${path} (${code}: ${text})`, { details: { errno, code, path }, advice, cause });
}
