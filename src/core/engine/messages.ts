// What daemon and engine say to each other: the operations of illumos /dev/overlay by name. Types only.
import type { HeaderFormat } from '@overlayadm/api';

/** An underlay address as the packet loop wants it: network order, 4 or 16 bytes. */
export interface WireDestination {
  readonly family: 4 | 6;
  readonly ip: Uint8Array;
  readonly port: number;
}

export interface MuxSpec {
  /** Chosen by the daemon, never used twice. */
  readonly mux: number;
  /** Name of the encapsulation, the area of its drop counters. */
  readonly encap: string;
  readonly format: HeaderFormat;
  /** The bound UDP socket, and the send-only sockets beside it. They stay the daemon's: it closes them after `closeMux`. */
  readonly socket: number;
  readonly sendSockets: readonly number[];
  /** The socket is not read until `readMux`: frames wait there for ports that are still to come. */
  readonly unread?: boolean;
  /**
   * What comes in are no datagrams of other hosts, but frames that kernel links of its overlays have no row for. `source` is where these
   * come from, network order: whatever else reaches the socket is dropped.
   */
  readonly punt?: { readonly source: Uint8Array };
}

/** A kernel link that forwards by the rows of its table; in the engine it is a port like any other, behind a mux with `punt`. */
export interface KernelLink {
  readonly index: number;
  /** Where the link sends what it has no row for: the socket of the mux, or the point. */
  readonly fallback: WireDestination;
  /** The link's own UDP socket: frames for the VNICs are sent there. */
  readonly own: WireDestination;
  /** Rows from which this kernel is slow; undefined when it is not. */
  readonly manyRows?: number;
}

/** What the table of a kernel link held before it was opened here. */
export interface KnownRows {
  /** Rows of ours, as records (engine/snapshot.ts). They win over `targets`: what was written down may be older. */
  readonly records: Uint8Array;
  /** Where rows of ours for no particular target lead: all but `fallback` go once that is there. */
  readonly fallbacks: readonly WireDestination[];
  /** Rows of others. They are told of, and left alone. */
  readonly foreign: readonly ForeignRow[];
}

/** A row that somebody else has put into the table of a link of ours. */
export interface ForeignRow {
  readonly mac: number;
  /** Undefined: it leads nowhere. */
  readonly to: WireDestination | undefined;
}

export interface PortSpec {
  /** Chosen by the daemon, never used twice. */
  readonly port: number;
  readonly mux: number;
  /** The TAP. It stays the daemon's: it closes it after `closePort` was answered. None when there is a `kernel` link. */
  readonly tap?: number;
  readonly kernel?: KernelLink;
  readonly rows?: KnownRows;
  readonly vnetid: number;
  /** Largest IP packet in a frame, bytes. */
  readonly mtu: number;
  /** The header to send, with the vnetid in it. */
  readonly header: Uint8Array;
  readonly carriesVlanTag: boolean;
  /** Every frame goes here; without it targets are looked up. */
  readonly point?: WireDestination;
  /** Group frames that are no question are looked up too. */
  readonly group: boolean;
  /** Which questions the lookup plugin can answer; the others are dropped and counted. */
  readonly resolves: boolean;
  readonly servesDhcp: boolean;
  /** Targets that are known from before, as cacheExport gave them: in the cache before the first frame is read. */
  readonly targets?: Uint8Array;
  /** They are not written down anywhere: `cacheChanged` names the port. */
  readonly areUnwritten?: boolean;
}

/** A part of a cache, as records (engine/snapshot.ts). */
export interface CacheExport {
  readonly records: Uint8Array;
  /** Goes into the next call; -1 when this was the last part. */
  readonly next: number;
}

/** The answer to one request: `drop` refuses it, `done` ends a question that was answered with inject or resend. */
export type EngineAnswer =
  | { readonly id: number; readonly kind: 'found'; readonly to: WireDestination }
  | { readonly id: number; readonly kind: 'drop' }
  | { readonly id: number; readonly kind: 'done' };

export interface CacheEntry {
  /** Six bytes as one number, so that order is the order of MAC bytes. */
  readonly mac: number;
  readonly to: WireDestination | 'drop';
}

/** `port` names an overlay; `call` comes back in `done`. */
export type ToEngine =
  | { readonly op: 'openMux'; readonly call: number; readonly spec: MuxSpec }
  | { readonly op: 'closeMux'; readonly call: number; readonly mux: number }
  | { readonly op: 'openPort'; readonly call: number; readonly spec: PortSpec }
  | { readonly op: 'closePort'; readonly call: number; readonly port: number }
  | { readonly op: 'answers'; readonly answers: readonly EngineAnswer[] }
  /** Towards the VNICs. */
  | { readonly op: 'inject'; readonly port: number; readonly frame: Uint8Array }
  /** Into the transmit path, as if a VNIC had sent it. */
  | { readonly op: 'resend'; readonly port: number; readonly frame: Uint8Array }
  | { readonly op: 'cacheGet'; readonly call: number; readonly port: number; readonly mac: number }
  /** `fixed`: set by a person, so never evicted. */
  | { readonly op: 'cacheSet'; readonly port: number; readonly mac: number; readonly to: WireDestination | 'drop'; readonly fixed: boolean }
  | { readonly op: 'cacheRemove'; readonly call: number; readonly port: number; readonly mac: number }
  /** The same by a plugin, which need not know whether there was an entry. */
  | { readonly op: 'cacheInvalidate'; readonly port: number; readonly mac: number }
  | { readonly op: 'cacheFlush'; readonly call: number; readonly port: number }
  /** Everything but what a person has set: the plugin's answers may be out of date. */
  | { readonly op: 'cacheOutdated'; readonly port: number }
  /** Entries with a MAC above `after`, in order; -1 begins. */
  | { readonly op: 'cacheIterate'; readonly call: number; readonly port: number; readonly after: number; readonly count: number }
  /**
   * Valid entries in the order of the table, from place `from` (0 begins) on, `count` places a call: nothing is sorted. Entries that
   * change meanwhile are in it or not, and then `cacheChanged` names the port again.
   */
  | { readonly op: 'cacheExport'; readonly call: number; readonly port: number; readonly from: number; readonly count: number }
  /** Where targets of a port are: each destination once, MAX_SHOWN_DESTINATIONS at most. */
  | { readonly op: 'destinations'; readonly call: number; readonly port: number }
  /** Ports whose valid entries have changed since the last such call. */
  | { readonly op: 'cacheChanged'; readonly call: number }
  | { readonly op: 'counters'; readonly call: number; readonly port: number }
  /** The largest IP packet in a frame is another one from now on. Bytes. */
  | { readonly op: 'setMtu'; readonly port: number; readonly mtu: number }
  | { readonly op: 'readMux'; readonly call: number; readonly mux: number }
  /** Neither the mux's socket nor the TAPs of its ports are read any more: frames wait there, for the overlayd that comes next. Ports may be closed then. */
  | { readonly op: 'holdMux'; readonly call: number; readonly mux: number }
  /** The one destination of point mode is another one from now on. */
  | { readonly op: 'setPoint'; readonly port: number; readonly point: WireDestination }
  /** What was reported of the table of its link, and still holds, is reported once more: only now is there somebody who is told. */
  | { readonly op: 'reportAgain'; readonly port: number }
  /** Sends and receives through another mux from now on; what waits in the old one is sent first. */
  | { readonly op: 'movePort'; readonly call: number; readonly port: number; readonly mux: number; readonly kernel?: KernelLink }
  /** Says `notice` whenever there is something to read from this netlink socket of the daemon, until `unwatch`. */
  | { readonly op: 'watch'; readonly call: number; readonly notice: number; readonly socket: number }
  | { readonly op: 'unwatch'; readonly call: number; readonly notice: number }
  | { readonly op: 'stop'; readonly call: number };

/** Results of calls, by operation. `undefined` from cacheGet: no such entry. `false` from cacheRemove likewise. */
export type CallResult =
  | CacheEntry
  | CacheExport
  | readonly number[]
  | readonly CacheEntry[]
  | readonly WireDestination[]
  | Readonly<Record<string, number>>
  | boolean
  | undefined;

/**
 * The misses of one turn. Row i: request `ids[i]` of overlay `ports[i]`; its head frame (the first HEAD_BYTES of it for a
 * target, all of it for a question) ends at `ends[i]` in `bytes` and begins where the one before ends.
 */
export interface LookupBatch {
  readonly op: 'lookups';
  readonly ids: Float64Array;
  readonly ports: Uint32Array;
  /** 0 target or group frame, 1 question, 2 one more asker of the question with this id. */
  readonly kinds: Uint8Array;
  readonly ends: Uint32Array;
  readonly bytes: Uint8Array;
}

export type FromEngine =
  | LookupBatch
  /** These requests are of no interest any more. */
  | { readonly op: 'aborts'; readonly ids: readonly number[] }
  /** `failure`: what the engine could not open, in one sentence; nothing of it is left in the engine. */
  | { readonly op: 'done'; readonly call: number; readonly result: CallResult; readonly failure?: string }
  /** The TAP cannot be read any more: somebody deleted the device. Told once. */
  | { readonly op: 'tapFailed'; readonly port: number; readonly errno: number }
  /** A frame did not fit the path: size of the outer IP packet in bytes. At most one a second and overlay. */
  | { readonly op: 'notice'; readonly notice: number }
  /** Rows of others in the table of a kernel link: all of them, up to MAX_FOREIGN_ROWS. Told when they change. */
  | { readonly op: 'foreignRows'; readonly port: number; readonly rows: readonly ForeignRow[] }
  /** The kernel refuses rows (0: it takes them again). Frames to these targets go through the engine. */
  | { readonly op: 'rowsRefused'; readonly port: number; readonly errno: number }
  /** More rows than a kernel of this age looks through quickly. Told once. */
  | { readonly op: 'manyRows'; readonly port: number; readonly rows: number }
  | { readonly op: 'tooBig'; readonly port: number; readonly to: WireDestination; readonly packetBytes: number };

type WithoutCall<T> = T extends { readonly call: number } ? Omit<T, 'call'> : never;
/** An operation that is answered. */
export type EngineCall = WithoutCall<ToEngine>;

/** The daemon's end of the engine. Messages arrive in the order in which they were sent. */
export interface EngineLink {
  send(message: ToEngine): void;
  /** @throws OverlayError ENGINE_GONE when the engine ended before it answered, ENGINE_REFUSED when it could not open what it was told to. */
  call(message: EngineCall): Promise<CallResult>;
}
