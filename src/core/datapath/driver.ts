// The contract of data path drivers: what opens an overlay in the kernel and in the engine, and closes it again.
import type { HeaderFormat, IpAddress, UnderlaySocket } from '@overlayadm/api';
import type { WireDestination } from '../engine/messages.ts';

export type DriverName = 'tap' | 'kernel';

/** Everything a driver needs of an overlay, all of it data. */
export interface DatapathSpec {
  /** Name of the overlay and of its link. */
  readonly name: string;
  readonly mtu: number;
  readonly vnetid: number;
  readonly encap: string;
  readonly format: HeaderFormat;
  /** The header to send, compiled. */
  readonly header: Uint8Array;
  readonly carriesVlanTag: boolean;
  readonly socket: UnderlaySocket;
  readonly point?: WireDestination;
  readonly group: boolean;
  readonly resolves: boolean;
  readonly servesDhcp: boolean;
}

/** An overlay that is open. */
export interface DatapathPort {
  readonly driver: DriverName;
  /** Its number in the engine. */
  readonly id: number;
  /** Index of the link, and what the kernel calls it. */
  readonly linkIndex: number;
  /** Undoes open(): waiting frames are dropped and counted, lookups aborted, the link goes. Never waits for a plugin. */
  close(): Promise<void>;
}

export interface DatapathDriver {
  readonly name: DriverName;
  /** Why it cannot serve this overlay, so that `auto` can pass on and a person can be told; undefined when it can. */
  refuse(spec: Pick<DatapathSpec, 'format' | 'socket'>): string | undefined;
  /**
   * Opens the overlay, or changes nothing.
   * @throws OverlayError with what was refused: ADDRESS_NOT_HERE, PORT_IN_USE, VNETID_IN_USE, LINK_EXISTS, TUN_MISSING,
   * NOT_PERMITTED, NFTABLES_MISSING, SYSCTL_REFUSED, ENGINE_REFUSED, ENGINE_GONE.
   */
  open(spec: DatapathSpec): Promise<DatapathPort>;
  /** Is this one of the sockets it receives on? A destination there would send frames in a circle. */
  isOwnSocket(ip: IpAddress, port: number): boolean;
}
