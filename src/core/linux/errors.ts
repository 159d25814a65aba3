// What the kernel refused, as an OverlayError: errno numbers become stable codes with advice.
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { OverlayError } from '@overlayadm/api';

const { EPERM, ENOENT, EACCES, EBUSY, EEXIST, ENODEV } = constants.errno;

/** `EINVAL` and `invalid argument`, for an errno (positive) that Node may not know. */
export function describeErrno(errno: number): { readonly code: string; readonly text: string } {
  const [code, text] = getSystemErrorMap().get(-errno) ?? [`E${errno}`, `error ${errno}`];
  return { code, text };
}

export const ADVICE_CAPABILITY = 'Run it as root, or give it the capabilities CAP_NET_ADMIN and CAP_SYS_ADMIN.';

/**
 * @param subject What was acted on: 'vnic0', 'vnic0 in network namespace blue'.
 * @param action What was tried, as in "cannot ...": 'be made'.
 * @param errno Positive.
 */
export function kernelRefused(subject: string, action: string, errno: number, cause?: unknown): OverlayError {
  const { code, text } = describeErrno(errno);
  const parts = { details: { errno, code }, cause };
  switch (errno) {
    case EPERM:
    case EACCES:
      return new OverlayError('NOT_PERMITTED', `${subject}: cannot ${action}, this needs CAP_NET_ADMIN (${code})`, {
        ...parts,
        advice: ADVICE_CAPABILITY,
      });
    case EEXIST:
      return new OverlayError('LINK_EXISTS', `${subject}: exists already`, { ...parts, advice: 'Choose another name, or delete the link first.' });
    case EBUSY:
      return new OverlayError('LINK_BUSY', `${subject}: cannot ${action}, it is in use (${code})`, parts);
    case ENODEV:
    case ENOENT:
      return new OverlayError('LINK_NOT_FOUND', `${subject}: does not exist`, parts);
    default:
      return new OverlayError('NETLINK_REFUSED', `${subject}: cannot ${action} (${code}: ${text})`, parts);
  }
}

/** The errno that kernelRefused() has put into an error, or whoever says it in other words; undefined for any other value. */
export function refusedErrno(error: unknown): number | undefined {
  const errno = OverlayError.is(error) ? error.details.errno : undefined;
  return typeof errno === 'number' ? errno : undefined;
}

/** The errno of a system error that Node or the addon threw, always positive; undefined for any other value. */
export function errnoOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errno' in error) || typeof error.errno !== 'number') return undefined;
  return Math.abs(error.errno);
}
