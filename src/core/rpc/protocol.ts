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
  readonly properties: readonly PropertyArgument[];
}

export interface VnicRow {
  readonly vnic: string;
  readonly overlay: string;
  readonly mac: string;
  readonly mtu: number;
  readonly netns: string | null;
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
  readonly status: 'ONLINE' | 'DEGRADED';
  readonly details: string | null;
  /** Since when it is degraded, ISO 8601 in UTC, and what to do; null when online. */
  readonly since: string | null;
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
  'overlay.delete': { params: { readonly name: string }; result: null };
  'overlay.names': { params: Record<string, never>; result: readonly string[] };
  'overlay.properties': { params: { readonly name: string }; result: readonly PropertyRow[] };
  'overlay.health': { params: { readonly name: string }; result: HealthRow };
  'overlay.targets': { params: { readonly name: string; readonly after: string | null }; result: Page<TargetRow> };
  /** Counters of frames and drops by reason, decimal text because they pass 2^53. */
  'overlay.counters': { params: { readonly name: string }; result: Readonly<Record<string, string>> };
  'vnic.create': { params: CreateVnic; result: VnicRow };
  'vnic.delete': { params: { readonly name: string }; result: null };
  'vnic.list': { params: { readonly overlay: string | null }; result: readonly VnicRow[] };
}
export type MethodName = keyof Methods;

/** `read` for the group overlayadm, `change` for overlayadm-operator and root. */
export const PERMISSIONS: Readonly<Record<MethodName, 'read' | 'change'>> = {
  hello: 'read',
  'overlay.create': 'change',
  'overlay.delete': 'change',
  'overlay.names': 'read',
  'overlay.properties': 'read',
  'overlay.health': 'read',
  'overlay.targets': 'read',
  'overlay.counters': 'read',
  'vnic.create': 'change',
  'vnic.delete': 'change',
  'vnic.list': 'read',
};

/** An error on the wire: the `data` of a JSON-RPC error object. */
export interface ErrorData {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly advice?: string;
}
