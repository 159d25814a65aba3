// The contract of lookup plugins: where does a frame for this overlay MAC go?
import type { IpAddress, MacAddress } from './address.ts';
import type { Destination, DestinationField } from './destination.ts';
import type { AnyPropertyValues, PropertyTable } from './property.ts';

/** A frame that the overlay does not know a destination for. */
export interface LookupRequest {
  readonly vnetid: number;
  /** Destination MAC of the frame: the target. A group address only for instances that declare `group`. */
  readonly to: MacAddress;
  readonly from: MacAddress;
  /** Behind the VLAN tag, when there is one. */
  readonly etherType: number;
  /** 802.1Q VLAN identifier, 0-4095; undefined for an untagged frame. */
  readonly vlan?: number;
}

export type LookupAnswer =
  /** Has exactly the fields that the encapsulation needs; the host checks it and treats a wrong one as a refusal. */
  | { readonly kind: 'found'; readonly destination: Destination }
  /** The frames waiting for this target are dropped and counted. The reason goes to the log, not to the cache. */
  | { readonly kind: 'drop'; readonly reason: string };

export interface ResolvedAddress {
  readonly mac: MacAddress;
  /** When it came with the answer: put into the target cache, so that the first frame needs no lookup of its own. */
  readonly destination?: Destination;
}

interface InstanceBase {
  /**
   * Called once, before anything else. When it settles, the instance is ready; when it throws, create-overlay fails with
   * the message of the error and the instance is not used. Aborted when the overlay is deleted meanwhile.
   */
  start(signal: AbortSignal): Promise<void>;
  /** Called once, also after a failed start(). Nothing is asked afterwards. Bounded: the process ends soon after. */
  stop(): Promise<void>;
}

/** Every frame, group frames included, goes to one destination. */
export interface PointInstance extends InstanceBase {
  readonly mode: 'point';
  /** Asked once, after start(). May name a multicast group. */
  destination(): Destination;
}

/**
 * Asked once per unknown target. Calls are made in the order in which frames came, many are in flight at a time, answers
 * may come in any order. Never called before start() settles or after stop(). A promise that rejects is a drop. Once
 * `signal` aborts (time-out, or the overlay is gone) the answer is not used any more; work on it should end.
 */
export interface DynamicInstance extends InstanceBase {
  readonly mode: 'dynamic';
  /** Put multicast and broadcast frames that are no ARP, ND or DHCP question to lookup() too; without it they are dropped. */
  readonly group?: true;
  lookup(request: LookupRequest, signal: AbortSignal): Promise<LookupAnswer>;
  /** ARP and neighbour discovery: which overlay MAC has this overlay address? Without it such questions are dropped. */
  resolve?(ip: IpAddress, signal: AbortSignal): Promise<ResolvedAddress | undefined>;
  /** DHCP: to which overlay MAC are this client's broadcasts redirected? */
  dhcpServer?(client: MacAddress, signal: AbortSignal): Promise<MacAddress | undefined>;
}

/** A VNIC of this overlay on this host: what it is called from inside the overlay. */
export interface LocalAddress {
  readonly mac: MacAddress;
  /** IPv4 and IPv6, link-local ones too. None until somebody configures the VNIC. */
  readonly ips: readonly IpAddress[];
}

/** What the host lends to one instance, from create() until stop() settles. All calls return at once; none throws. */
export interface LookupHost {
  readonly vnetid: number;
  /** The encapsulation's usual port, for destinations that do not name one. */
  readonly usualPort: number | undefined;
  /** Puts a destination into the target cache unasked (illumos libvarpd_inject_varp). Frames waiting for it are sent. */
  setTarget(mac: MacAddress, destination: Destination): void;
  /** Shootdown: the cached answer, or the refusal, is no longer true; the next frame asks again. */
  invalidateTarget(mac: MacAddress): void;
  /** Gratuitous ARP or unsolicited neighbour advertisement to the local VNICs; to these only, when `toMacs` is given. */
  announce(ip: IpAddress, mac: MacAddress, toMacs?: readonly MacAddress[]): void;
  /**
   * Contents of the file that a property of type `path` names, now and after each change. overlayd reads it: a regular
   * file of bounded size, readable by the user who set the property. No other path can be asked for. The iteration
   * throws when the file cannot be read, and may then be begun anew.
   */
  file(property: string): AsyncIterable<Uint8Array>;
  /**
   * MAC and IP addresses of the VNICs of this overlay on this host: the whole list, now (empty when there is no VNIC) and
   * after each change, by name of the VNIC. Looked at while an iteration is open. Ends when the instance is stopped; never throws.
   */
  localAddresses(): AsyncIterable<readonly LocalAddress[]>;
  /** Reports trouble: shown by `show-overlay -f`. Forwarding goes on. A later call replaces the reason. */
  degrade(reason: string): void;
  restore(): void;
  readonly log: {
    info(message: string, fields?: object): void;
    warn(message: string, fields?: object): void;
  };
  /** Time and timers, so that tests can move them. Milliseconds; `now` is monotonic. */
  readonly clock: {
    now(): number;
    sleep(ms: number, signal?: AbortSignal): Promise<void>;
  };
}

export interface LookupPlugin {
  readonly kind: 'lookup';
  /** `[a-z][a-z0-9]*`, at most 31 characters; also the prefix of its properties and the word behind `-s`. */
  readonly name: string;
  readonly properties: PropertyTable;
  /**
   * Makes one instance for one overlay; no I/O before start(). Values were parsed, defaulted and not refused.
   * @throws OverlayError LOOKUP_CANNOT_SERVE when it cannot give the fields in `needs`.
   */
  create(needs: readonly DestinationField[], values: AnyPropertyValues, host: LookupHost): PointInstance | DynamicInstance;
}
