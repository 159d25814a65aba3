// Sockets and TAPs that only count, an engine that only listens; each call can be made to fail.
import vxlan from '@overlayadm/plugin-vxlan';
import type { Devices } from '../../../src/core/datapath/devices.ts';
import type { DatapathSpec, DescriptorStore } from '../../../src/core/datapath/driver.ts';
import type { EngineCall, EngineLink, ToEngine } from '../../../src/core/engine/messages.ts';
import { ipOf } from '../../helpers/frames.ts';

type UdpOptions = Parameters<Devices['openUdp']>[0];

export const systemError = (code: string, syscall = 'bind'): Error => Object.assign(new Error(`${code}: ${syscall}`), { code });

export class FakeDevices implements Devices {
  readonly open = new Map<number, string>();
  readonly udp: UdpOptions[] = [];
  /** Asked before every open: an error refuses it. */
  refuse: (what: string, options: UdpOptions | { name: string }) => Error | undefined = () => undefined;
  /** Descriptors whose close() throws; they are closed all the same. */
  readonly failingClose = new Set<number>();
  readonly #bound = new Map<number, UdpOptions>();
  #last = 10;

  openTap(options: { readonly name: string; readonly exclusive: boolean }): number {
    return this.#add(`tap ${options.name}`, 'tap', options);
  }

  openUdp(options: UdpOptions): number {
    this.udp.push(options);
    const fd = this.#add(`udp ${options.address.join('.')} ${options.port}`, options.sendOnly ? 'source' : 'listen', options);
    this.#bound.set(fd, options);
    return fd;
  }

  adoptTap(): string {
    throw systemError('ENOTTY', 'TUNGETIFF');
  }

  setTapPersistent(): void {}

  udpAddress(fd: number): ReturnType<Devices['udpAddress']> {
    const bound = this.#bound.get(fd);
    if (bound === undefined || !this.open.has(fd)) throw systemError('ENOTSOCK', 'getsockname');
    return bound;
  }

  adopt(): void {}

  openNetlink({ protocol }: { readonly protocol: number }): number {
    return this.#add(`netlink ${protocol}`, 'netlink', { name: 'netlink' });
  }

  close(fd: number): void {
    if (!this.open.delete(fd)) throw systemError('EBADF', 'close');
    if (this.failingClose.has(fd)) throw systemError('EIO', 'close');
  }

  #add(name: string, what: string, options: UdpOptions | { name: string }): number {
    const error = this.refuse(what, options);
    if (error !== undefined) throw error;
    this.open.set(++this.#last, name);
    return this.#last;
  }
}

/** Numbers of muxes and ports, from 1 on. */
export function counting(): () => number {
  let last = 0;
  return () => ++last;
}

/** Nothing outlived anything. */
export const emptyStore: DescriptorStore = { take: () => undefined, keep: () => undefined, forget: () => undefined };

export class FakeEngine implements EngineLink {
  readonly messages: (ToEngine | EngineCall)[] = [];
  /** Thrown by every call once it is set: the engine has ended. */
  gone: Error | undefined;
  /** The operation that is refused, as an engine refuses what it cannot open. */
  refusing: EngineCall['op'] | undefined;

  send(message: ToEngine): void {
    this.messages.push(message);
  }

  async call(message: EngineCall): Promise<undefined> {
    this.messages.push(message);
    if (this.gone !== undefined) throw this.gone;
    if (this.refusing === message.op) throw new Error(`${message.op} is refused`);
  }

  get ops(): string[] {
    return this.messages.map(({ op }) => op);
  }
}

export function specOf(name: string, vnetid: number, options: Partial<DatapathSpec> = {}): DatapathSpec {
  const socket = { listenIp: ipOf('192.0.2.1'), listenPort: 4789 };
  const traits = { carriesVlanTag: true, group: false, resolves: true, servesDhcp: false };
  return { name, mtu: 1400, vnetid, encap: 'vxlan', format: vxlan.format, header: new Uint8Array(8), socket, ...traits, ...options };
}
