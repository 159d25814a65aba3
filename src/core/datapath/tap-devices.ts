// The TAP device of an overlay: one that outlived the overlayd before is taken as it is, anything else is made.
import { OverlayError } from '@overlayadm/api';
import type { KernelNetwork, LinkInfo } from '../linux/types.ts';
import { SPARE_DESCRIPTORS } from '../util/limits.ts';
import type { Devices, SystemError } from './devices.ts';
import type { DescriptorStore } from './driver.ts';

export interface OpenTap {
  readonly fd: number;
  /** From the store, which gives it once. */
  readonly inherited: boolean;
}

export interface TapDevicesParts {
  readonly io: Pick<Devices, 'openTap' | 'adoptTap' | 'close'>;
  readonly kernel: Pick<KernelNetwork, 'link'>;
  readonly store: DescriptorStore;
  /** How many this process may have open; undefined when it is not known. */
  readonly mostDescriptors?: number | undefined;
}

/** What a TAP is called in the store. */
export const tapKey = (name: string): string => `tap.${name}`;

export class TapDevices {
  readonly #parts: TapDevicesParts;
  /**
   * Taken from the store for an overlay that then could not be opened. The store still holds its copy: were the device attached
   * to a second time, the kernel would give half of the frames to the copy, which nobody reads.
   */
  readonly #aside = new Map<string, number>();

  constructor(parts: TapDevicesParts) {
    this.#parts = parts;
  }

  /** @throws OverlayError TUN_MISSING, LINK_EXISTS, LINK_NOT_FOUND, NOT_PERMITTED, DESCRIPTORS_USED; what the kernel said otherwise. */
  open(name: string, restore: boolean): OpenTap {
    const { io, kernel } = this.#parts;
    if (!restore) {
      const fd = this.#openNew(name);
      // Its device has gone, else there were no new one.
      this.dropAside(name);
      return { fd, inherited: false };
    }
    const link = kernel.link(name);
    const fd = this.#inherited(name, link);
    return fd === undefined ? { fd: openTap(io, name, !isOurTap(link, name)), inherited: false } : { fd, inherited: true };
  }

  /** The overlay could not be opened. A device that was made for it goes, one that was there stays. */
  giveBack(name: string, { fd, inherited }: OpenTap): void {
    if (inherited) this.#aside.set(name, fd);
    else this.#parts.io.close(fd);
  }

  /** One that was there before is always taken, so that a restart loses none. */
  #openNew(name: string): number {
    const { io, mostDescriptors = Number.POSITIVE_INFINITY } = this.#parts;
    const fd = openTap(io, name, true);
    // The kernel gives the lowest number that is free.
    if (fd + SPARE_DESCRIPTORS < mostDescriptors) return fd;
    io.close(fd);
    throw descriptorsUsed(name, mostDescriptors);
  }

  /** Nobody restores it any more. */
  dropAside(name: string): void {
    const fd = this.#aside.get(name);
    this.#aside.delete(name);
    if (fd !== undefined) this.#parts.io.close(fd);
  }

  #inherited(name: string, link: LinkInfo | undefined): number | undefined {
    const { io, kernel, store } = this.#parts;
    const fd = this.#aside.get(name) ?? store.take(tapKey(name));
    if (fd === undefined) return undefined;
    this.#aside.delete(name);
    // Without a link here the device has gone, or to another network namespace, and the one it was is no more.
    const now = nameOf(io, fd);
    if (link?.kind === 'tun' && now === name) return fd;
    if (now !== undefined && now !== name && isOurTap(kernel.link(now), name)) {
      this.#aside.set(name, fd);
      throw renamed(name, now);
    }
    store.forget(tapKey(name));
    io.close(fd);
    return undefined;
  }
}

const isOurTap = (link: LinkInfo | undefined, name: string): boolean =>
  link !== undefined && link.kind === 'tun' && link.ours && link.mark?.name === name;

/** What the device behind an inherited descriptor is called now; undefined when it is gone, or never was one of ours. */
function nameOf(io: Pick<Devices, 'adoptTap'>, fd: number): string | undefined {
  try {
    return io.adoptTap(fd);
  } catch {
    return undefined;
  }
}

/** Its VNICs stand on it, whatever it is called: a new one in its place would be without them. */
const renamed = (name: string, now: string): OverlayError =>
  new OverlayError('LINK_NOT_FOUND', `${name}: its link was renamed to ${now}`, {
    details: { overlay: name, link: now },
    advice: `Give it its name back: "ip link set ${now} name ${name}".`,
  });

const descriptorsUsed = (name: string, most: number): OverlayError =>
  new OverlayError('DESCRIPTORS_USED', `${name}: overlayd has no descriptor left for another overlay (it may have ${most} open files)`, {
    details: { overlay: name, limit: most },
    advice: 'Raise its limit: LimitNOFILE= of the systemd unit, or "ulimit -Hn" of whoever starts it, and start it again.',
  });

const TAP_ERRORS: Readonly<Record<string, { code: string; message: string; advice: string }>> = {
  ENOENT: {
    code: 'TUN_MISSING',
    message: 'there is no /dev/net/tun',
    advice: 'Load the driver ("modprobe tun"); in a container, pass the device in.',
  },
  ENODEV: { code: 'TUN_MISSING', message: 'the kernel has no TUN/TAP driver', advice: 'Load the driver ("modprobe tun").' },
  EBUSY: { code: 'LINK_EXISTS', message: 'a link of this name exists', advice: 'Choose another name; "ip link" shows the ones there are.' },
  EEXIST: { code: 'LINK_EXISTS', message: 'a link of this name exists', advice: 'Choose another name; "ip link" shows the ones there are.' },
  EPERM: { code: 'NOT_PERMITTED', message: 'permission denied', advice: 'overlayd needs CAP_NET_ADMIN; start it as root.' },
  EACCES: { code: 'NOT_PERMITTED', message: 'permission denied', advice: 'overlayd needs CAP_NET_ADMIN and /dev/net/tun; start it as root.' },
};

function openTap(io: Pick<Devices, 'openTap'>, name: string, exclusive: boolean): number {
  try {
    return io.openTap({ name, exclusive });
  } catch (cause) {
    const known = TAP_ERRORS[(cause as SystemError).code];
    if (known === undefined) throw cause;
    throw new OverlayError(known.code, `${name}: ${known.message}`, { details: { overlay: name }, advice: known.advice, cause });
  }
}
