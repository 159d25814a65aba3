// Descriptors that outlive overlayd: the ones it was started with, and the word to whoever holds them that there is another one.
import { messageOf } from '@overlayadm/api';
import type { PacketIo } from '@overlayadm/packetio';
import type { DescriptorStore } from '../datapath/driver.ts';
import type { Environment } from '../util/directories.ts';
import { MAX_HELD_DESCRIPTORS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';

/** Who holds them: the keeper at the other end of a socket we were given, the service manager behind a socket with a name, or nobody. */
export type Holder =
  | { readonly kind: 'keeper'; readonly fd: number }
  | { readonly kind: 'service-manager'; readonly socket: string }
  | { readonly kind: 'none' };

/** The first descriptor that is passed on (sd_listen_fds(3)). */
const FIRST = 3;

export interface Inheritance {
  readonly holder: Holder;
  /** By name, as they were given; nothing is known of them yet. */
  readonly descriptors: ReadonlyMap<string, number>;
}

/** What whoever started us says we were given. `pid`: ours; what was meant for another process is not for us. */
export function readInheritance(environment: Environment, pid: number): Inheritance {
  const { LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES, OVERLAYD_KEEPER_FD, OVERLAYD_HOLDER, FDSTORE, NOTIFY_SOCKET } = environment;
  const given = LISTEN_PID === String(pid) && /^[0-9]+$/.test(LISTEN_FDS ?? '') ? Number(LISTEN_FDS) : 0;
  const count = Math.min(given, MAX_HELD_DESCRIPTORS);
  const names = (LISTEN_FDNAMES ?? '').split(':');
  const descriptors = new Map(Array.from({ length: count }, (_, i) => [names[i] ?? `unnamed${i}`, FIRST + i] as const));
  const keeper = /^[0-9]+$/.test(OVERLAYD_KEEPER_FD ?? '') ? Number(OVERLAYD_KEEPER_FD) : undefined;
  if (keeper !== undefined && keeper >= FIRST) return { holder: { kind: 'keeper', fd: keeper }, descriptors };
  const isManaged = OVERLAYD_HOLDER === 'systemd' || Number(FDSTORE ?? 0) > 0;
  if (isManaged && NOTIFY_SOCKET) return { holder: { kind: 'service-manager', socket: NOTIFY_SOCKET }, descriptors };
  return { holder: { kind: 'none' }, descriptors };
}

/** Numbers that must stay open over closeInherited(). */
export const inheritedNumbers = ({ holder, descriptors }: Inheritance): readonly number[] => [
  ...descriptors.values(),
  ...(holder.kind === 'keeper' ? [holder.fd] : []),
];

/** As the composition root needs it. */
export interface HeldStore extends DescriptorStore {
  /** Names that nobody has taken. */
  names(): readonly string[];
  /** What nobody takes goes. */
  discard(name: string): void;
  /** Lines of sd_notify(3), for whoever shows them. Never throws. */
  tell(state: string): void;
}

export class HeldDescriptors implements HeldStore {
  readonly #io: Pick<PacketIo, 'adopt' | 'close' | 'notify' | 'notifyOver'>;
  #holder: Holder;
  readonly #left: Map<string, number>;
  #log: Log | undefined;
  #hasFailed = false;

  constructor(io: Pick<PacketIo, 'adopt' | 'close' | 'notify' | 'notifyOver'>, { holder, descriptors }: Inheritance) {
    this.#io = io;
    this.#holder = holder;
    this.#left = new Map([...descriptors].filter(([, fd]) => this.#isOpen(fd)));
    // A plugin host that inherited it could have descriptors held in our name.
    if (holder.kind === 'keeper') this.#isOpen(holder.fd);
  }

  /** From when on failures are told. */
  logTo(log: Log): void {
    this.#log = log;
    if (this.#holder.kind === 'none') log.warn({}, 'nobody holds the descriptors of overlays: when overlayd ends their links lose their carrier');
  }

  get kind(): Holder['kind'] {
    return this.#holder.kind;
  }

  take(name: string): number | undefined {
    const fd = this.#left.get(name);
    this.#left.delete(name);
    return fd;
  }

  names(): readonly string[] {
    return [...this.#left.keys()];
  }

  keep(name: string, fd: number): void {
    // systemd would drop a device that reports an error, as a TAP does whose link is down.
    this.tell(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0`, [fd]);
  }

  forget(name: string): void {
    this.tell(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  }

  discard(name: string): void {
    const fd = this.take(name);
    if (fd !== undefined) this.#io.close(fd);
    this.forget(name);
  }

  tell(state: string, descriptors: readonly number[] = []): void {
    try {
      if (this.#holder.kind === 'keeper') this.#io.notifyOver(this.#holder.fd, state, descriptors);
      else if (this.#holder.kind === 'service-manager') this.#io.notify(this.#holder.socket, state, descriptors);
      this.#hasFailed = false;
    } catch (error) {
      const { code } = error as { readonly code?: unknown };
      // It has ended, and nobody would start us again (unix(7): one error at the first word, another at the next).
      if (this.#holder.kind === 'keeper' && (code === 'ECONNREFUSED' || code === 'ENOTCONN' || code === 'EPIPE')) return this.#keeperEnded();
      // Before there is a log nobody would hear of it.
      if (this.#hasFailed || this.#log === undefined) return;
      this.#log.warn({ error: messageOf(error), holder: this.#holder.kind }, 'the holder of descriptors cannot be told');
      this.#hasFailed = true;
    }
  }

  #keeperEnded(): void {
    this.#holder = { kind: 'none' };
    this.#log?.warn(
      {},
      'the keeper has ended: when overlayd ends too, links lose their carrier until the next command; "kill -HUP" it to have both again',
    );
  }

  #isOpen(fd: number): boolean {
    try {
      this.#io.adopt(fd);
      return true;
    } catch {
      return false;
    }
  }
}
