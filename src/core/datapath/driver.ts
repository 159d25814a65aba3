// The contract of data path drivers: what opens an overlay in the kernel and in the engine, and closes it again.
import type { HeaderFormat, IpAddress, MacAddress, UnderlaySocket } from '@overlayadm/api';
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
  /**
   * The overlay was there before this overlayd: descriptors that outlived the one before are taken, a device with our mark is
   * attached to, and what is missing is made anew. Without it anything that exists under the name is a refusal.
   */
  readonly restore?: RestoreSpec;
}

export interface RestoreSpec {
  /** They were known to another data path, and this one is to write them down anew. */
  readonly isMoved?: boolean;
  /** MAC address of the link, when it has to be the one of a link before it. */
  readonly mac?: MacAddress;
  /** Targets known from before (engine/messages.ts CacheExport.records); in the cache before the first frame is read. */
  readonly targets: Uint8Array;
}

/** Descriptors that outlive overlayd, at whoever holds them: the keeper, or the service manager. Names are of the data path's choosing. */
export interface DescriptorStore {
  /** A descriptor that was held when overlayd started; each once. Close-on-exec is set; the rest is the taker's to check. */
  take(name: string): number | undefined;
  /** Has it held from now on, in place of one with the same name. Never throws: without a holder overlayd goes on, and says so in its log. */
  keep(name: string, fd: number): void;
  forget(name: string): void;
}

/** Troubles of an open overlay that its data path finds by itself. */
export type PortTrouble = 'device' | 'filter' | 'rows' | 'foreign-rows' | 'too-big';

/** For the health of an overlay. */
export interface PortEvents {
  trouble(cause: PortTrouble, reason: string): void;
  over(cause: PortTrouble): void;
  /** A packet of `packetBytes` to there does not fit the path. */
  tooBig(to: WireDestination, packetBytes: number): void;
}

/** An overlay that is open. */
export interface DatapathPort {
  readonly driver: DriverName;
  /** Its number in the engine. */
  readonly id: number;
  /** Index of the link, and what the kernel calls it. */
  readonly linkIndex: number;
  /** Was the link there before, with whatever stands on it? Only with `restore`. */
  readonly adopted: boolean;
  /** Targets that were known when it was opened, as records: those of `restore`, and what the link itself knew. */
  readonly known: Uint8Array;
  /** What befalls it from now on, for its health. Once. */
  watch(events: PortEvents): void;
  /** What the engine has counted, with what the kernel has. @throws OverlayError LINK_NOT_FOUND when the link has gone */
  counters(counted: Readonly<Record<string, number>>): Readonly<Record<string, number>>;
  /** From now on the link outlives overlayd: its descriptors go to the holder, and the device stays without any. Called when the overlay is recorded. */
  keep(): void;
  /** Undoes open(): waiting frames are dropped and counted, lookups aborted, the link goes. Never waits for a plugin. */
  close(): Promise<void>;
  /** Lets go of everything without undoing it, for the overlayd that comes next: frames wait in the device and the socket. */
  release(): Promise<void>;
  /** Bytes; of the link and of the engine. @throws OverlayError as KernelNetwork.setMtu() */
  setMtu(mtu: number): void;
  /** The one destination of point mode is another one from now on. */
  setPoint(to: WireDestination): void;
  /** Receives and sends on another socket of the same address family from now on, or changes nothing. @throws as DatapathDriver.open() */
  move(socket: UnderlaySocket): Promise<void>;
}

export interface DatapathDriver {
  readonly name: DriverName;
  /** Why it cannot serve this overlay, so that `auto` can pass on and a person can be told; undefined when it can. `except`: an overlay that leaves its own for this one. */
  refuse(spec: Pick<DatapathSpec, 'format' | 'socket'>, except?: string): string | undefined;
  /**
   * Opens the overlay, or changes nothing.
   * @throws OverlayError with what was refused: ADDRESS_NOT_HERE, PORT_IN_USE, VNETID_IN_USE, LINK_EXISTS, TUN_MISSING,
   * NOT_PERMITTED, NFTABLES_MISSING, LINK_DIFFERS, SYSCTL_REFUSED, ENGINE_REFUSED, ENGINE_GONE.
   */
  open(spec: DatapathSpec): Promise<DatapathPort>;
  /** What there was to restore is restored, or cannot be just now: frames that have waited are read. */
  ready(): Promise<void>;
  /** An overlay that could not be restored is deleted. `isLast`: no other one waits to be restored. */
  discard(name: string, isLast: boolean): void;
  /** Is this one of the sockets it receives on? A destination there would send frames in a circle. */
  isOwnSocket(ip: IpAddress, port: number): boolean;
}
