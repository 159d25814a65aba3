// Is the overlayd that answered the one this command can work with? Pure.
import { asRecord, OverlayError } from './errors.ts';
import { type Hello, PROTOCOL_VERSION } from './protocol.ts';

export interface Self {
  readonly version: string;
  /** Inode of the network namespace. */
  readonly netns: number;
}

/**
 * Versions that differ in what comes after the major number understand each other as long as the protocol is the same.
 * @throws OverlayError VERSION_MISMATCH, NETNS_MISMATCH
 */
export function checkHello(answer: unknown, self: Self): Hello {
  const { version, protocol, pid, netns, mayChange } = asRecord(answer);
  if (typeof version !== 'string' || typeof pid !== 'number' || typeof netns !== 'number') throw versionMismatch('unknown', undefined, self);
  if (protocol !== PROTOCOL_VERSION || majorOf(version) !== majorOf(self.version)) throw versionMismatch(version, pid, self);
  if (netns !== self.netns) throw netnsMismatch(pid, netns, self);
  return { version, protocol, pid, netns, mayChange: mayChange === true };
}

const majorOf = (version: string): string => version.split('.', 1)[0] ?? '';

function versionMismatch(version: string, pid: number | undefined, self: Self): OverlayError {
  const who = pid === undefined ? 'overlayd' : `overlayd (pid ${pid})`;
  return new OverlayError('VERSION_MISMATCH', `${who}: is of another version (${version}, this command is ${self.version})`, {
    details: { version, own: self.version, pid },
    advice: pid === undefined ? 'Restart it.' : `Stop it (kill ${pid}; its overlays go with it); the next command starts the one it came with.`,
  });
}

function netnsMismatch(pid: number, netns: number, self: Self): OverlayError {
  return new OverlayError('NETNS_MISMATCH', `overlayd (pid ${pid}): runs in another network namespace (${netns}, this command is in ${self.netns})`, {
    details: { pid, netns, own: self.netns },
    advice: `Run it there: nsenter --net=/proc/${pid}/ns/net overlayadm ...\nOr set OVERLAYADM_RUN_DIR, for an overlayd of this namespace.`,
  });
}
