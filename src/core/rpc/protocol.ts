// The control protocol: method names, permissions and the shapes of parameters and results.

/** Raised when a client of an older program could misunderstand an answer. */
export const PROTOCOL_VERSION = 1;

export interface Hello {
  readonly version: string;
  readonly protocol: number;
  readonly pid: number;
  /** Inode of the network namespace that overlayd lives in. */
  readonly netns: number;
  /** May this caller change things, or only read? */
  readonly mayChange: boolean;
}

export interface PropertyArgument {
  /** Full name: `vxlan/listen_ip`, `mtu`. */
  readonly name: string;
  readonly text: string;
}

export interface CreateOverlay {
  /** Without it the lowest free overlayN is taken. */
  readonly name?: string;
  readonly encap: string;
  readonly search: string;
  readonly vnetid: number;
  readonly properties: readonly PropertyArgument[];
  /** Not kept over a reboot. */
  readonly temporary: boolean;
}
export interface CreateOverlayResult {
  readonly name: string;
  /** Things that a person should know, one line each: an MTU that does not fit, plugins that were left out. */
  readonly warnings: readonly string[];
}

export interface CreateVnic {
  readonly name: string;
  readonly overlay: string;
  readonly mac?: string;
  /** VLAN identifier, 1-4094: the VNIC is untagged inside, tagged on the overlay. */
  readonly vid?: number;
  readonly properties: readonly PropertyArgument[];
  readonly temporary: boolean;
}

export interface VnicRow {
  readonly vnic: string;
  readonly overlay: string;
  readonly mac: string;
  readonly mtu: number;
  readonly vid: number | null;
  readonly netns: string | null;
  /** `up`, `down`, `waiting for namespace NAME`, or why it is not there. */
  readonly state: string;
  /** Kept over a reboot? */
  readonly persistent: boolean;
}

/** One row of `show-link`. */
export interface LinkRow {
  readonly link: string;
  readonly class: 'overlay' | 'vnic';
  readonly mtu: number;
  /** As VnicRow; an overlay is `up`, `down`, or why it is not there. */
  readonly state: string;
  /** The overlay below a VNIC. */
  readonly over: string | null;
  readonly netns: string | null;
}

/** One row of `show-link -s`: of an overlay since overlayd opened it, of a VNIC since it was made. Decimal text, because counters pass 2^53. */
export interface LinkStatistics {
  readonly link: string;
  /** Frames and bytes that came in to the VNICs, and that they sent. */
  readonly receivedFrames: string;
  readonly receivedBytes: string;
  readonly sentFrames: string;
  readonly sentBytes: string;
  /** Lookups and questions asked, and frames that waited for them; null for a VNIC. */
  readonly misses: string | null;
  readonly queued: string | null;
  /** Frames dropped, by reason; only the reasons that have occurred. */
  readonly drops: Readonly<Record<string, string>>;
}

/** One row of `show-linkprop`; null is shown as `--`. */
export interface LinkPropertyRow {
  readonly link: string;
  readonly property: string;
  /** `rw` when set-linkprop can change it now. */
  readonly access: 'r-' | 'rw';
  readonly value: string | null;
  /** The value that a reboot brings back; null when the link is temporary, or the property has none. */
  readonly persistent: string | null;
  readonly default: string | null;
  readonly possible: string | null;
}

export interface SetLinkProperties {
  readonly link: string;
  readonly properties: readonly PropertyArgument[];
  readonly temporary: boolean;
}
export interface ResetLinkProperties {
  readonly link: string;
  /** null: all that can be changed. */
  readonly properties: readonly string[] | null;
  readonly temporary: boolean;
}

/** What one of several objects was refused with. */
export interface Failed extends ErrorData {
  readonly name: string;
  readonly message: string;
}
export interface UpResult {
  readonly up: readonly string[];
  readonly failed: readonly Failed[];
  readonly warnings: readonly string[];
}

/** One row of `show-plugins`. */
export interface PluginRow {
  readonly kind: 'encap' | 'lookup';
  readonly name: string;
  readonly package: string;
  readonly version: string;
  /** Of the contract that it was made for. */
  readonly api: number;
  /** Full names; null when the plugin cannot be loaded, and then `problem` says why. */
  readonly properties: readonly string[] | null;
  /** User that its host runs as, or would run as. */
  readonly uid: number;
  /** Process of its host; null when none runs. */
  readonly pid: number | null;
  readonly problem: string | null;
}
export interface PluginList {
  readonly plugins: readonly PluginRow[];
  /** Packages that were left out and why, one line each. */
  readonly problems: readonly string[];
}
export interface PluginReload {
  /** Packages whose hosts were replaced by ones with the new code. */
  readonly replaced: readonly string[];
  /** Packages whose new code did not come up: the old one goes on. */
  readonly kept: readonly { readonly package: string; readonly reason: string }[];
  readonly problems: readonly string[];
}

/** One row of `show-overlay`; null is shown as `--`. */
export interface PropertyRow {
  readonly overlay: string;
  readonly property: string;
  readonly access: 'r-' | 'rw';
  readonly required: boolean;
  readonly value: string | null;
  readonly default: string | null;
  readonly possible: string | null;
}

/** One row of `show-overlay -f`. */
export interface HealthRow {
  readonly overlay: string;
  /** `DOWN`: saved, and not to be there before somebody brings it up. */
  readonly status: 'ONLINE' | 'DEGRADED' | 'DOWN';
  readonly details: string | null;
  /** Since when it is degraded, ISO 8601 in UTC; null when it is not. */
  readonly since: string | null;
  /** What to do; null when online. */
  readonly advice: string | null;
}

/** One row of `show-overlay -t`. */
export interface TargetRow {
  readonly overlay: string;
  /** As ether_ntoa prints it, or `*:*:*:*:*:*` for an overlay with one destination. */
  readonly target: string;
  /** `ip:port`, `[ipv6]:port`, or `drop`. */
  readonly destination: string;
}

/** A page; `next` goes into the next call, null when there is no more. */
export interface Page<T> {
  readonly rows: readonly T[];
  readonly next: string | null;
}

/** Every method: what it takes and what it gives. */
export interface Methods {
  hello: { params: { readonly version: string }; result: Hello };
  'overlay.create': { params: CreateOverlay; result: CreateOverlayResult };
  /** `temporary`: the saved overlay is kept, for up-overlay. */
  'overlay.delete': { params: { readonly name: string; readonly temporary: boolean }; result: null };
  /** Makes what is saved and not there; null for every one. */
  'overlay.up': { params: { readonly name: string | null }; result: UpResult };
  /** Those that are there, by name; `saved`: also those that should be there and are not, that are only saved, or whose records nobody can read. */
  'overlay.names': { params: { readonly saved: boolean }; result: readonly string[] };
  'overlay.properties': { params: { readonly name: string }; result: readonly PropertyRow[] };
  'overlay.health': { params: { readonly name: string }; result: HealthRow };
  'overlay.targets': { params: { readonly name: string; readonly after: string | null }; result: Page<TargetRow> };
  /** Counters of frames and drops by reason, decimal text because they pass 2^53. */
  'overlay.counters': { params: { readonly name: string }; result: Readonly<Record<string, string>> };
  'vnic.create': { params: CreateVnic; result: VnicRow };
  'vnic.delete': { params: { readonly name: string; readonly temporary: boolean }; result: null };
  'vnic.list': { params: { readonly overlay: string | null }; result: readonly VnicRow[] };
  /** `mac` as ether_aton reads it, `destination`: `ip:port`, `[ipv6]:port`, `mac,...` where the encapsulation needs one, or `drop`. */
  'target.set': { params: { readonly overlay: string; readonly mac: string; readonly destination: string }; result: null };
  'target.remove': { params: { readonly overlay: string; readonly mac: string }; result: null };
  'target.flush': { params: { readonly overlay: string }; result: null };
  'link.list': { params: Record<string, never>; result: readonly LinkRow[] };
  'link.statistics': { params: { readonly link: string }; result: LinkStatistics };
  'linkprop.list': { params: { readonly link: string }; result: readonly LinkPropertyRow[] };
  'linkprop.set': { params: SetLinkProperties; result: { readonly warnings: readonly string[] } };
  'linkprop.reset': { params: ResetLinkProperties; result: { readonly warnings: readonly string[] } };
  'plugin.list': { params: Record<string, never>; result: PluginList };
  /** Looks for plugins again, and replaces the hosts of packages that have changed. */
  'plugin.reload': { params: Record<string, never>; result: PluginReload };
}
export type MethodName = keyof Methods;

/** `read` for the group overlayadm, `change` for overlayadm-operator and root. */
export const PERMISSIONS: Readonly<Record<MethodName, 'read' | 'change'>> = {
  hello: 'read',
  'overlay.create': 'change',
  'overlay.delete': 'change',
  'overlay.up': 'change',
  'overlay.names': 'read',
  'overlay.properties': 'read',
  'overlay.health': 'read',
  'overlay.targets': 'read',
  'overlay.counters': 'read',
  'vnic.create': 'change',
  'vnic.delete': 'change',
  'vnic.list': 'read',
  'target.set': 'change',
  'target.remove': 'change',
  'target.flush': 'change',
  'link.list': 'read',
  'link.statistics': 'read',
  'linkprop.list': 'read',
  'linkprop.set': 'change',
  'linkprop.reset': 'change',
  'plugin.list': 'read',
  'plugin.reload': 'change',
};

/** An error on the wire: the `data` of a JSON-RPC error object. */
export interface ErrorData {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly advice?: string;
}
