// What overlayd and a plugin host say to each other: types only. The checks are in protocol.ts.
import type { Destination, DestinationField, HeaderFormat, IpAddress, LocalAddress, MacAddress, UnderlaySocket } from '@overlayadm/api';
import type { PropertyDescription } from '../property/description.ts';

export type ProviderKind = 'encap' | 'lookup';

export interface Provider {
  readonly kind: ProviderKind;
  readonly name: string;
  /** npm package that brings it, its version, and the folder it is in. */
  readonly package: string;
  readonly version: string;
  readonly root: string;
  /** File of the plugin, relative to `root`. */
  readonly module: string;
  /** Number of the contract that it was made for. */
  readonly api: number;
}

export interface ProviderTable {
  readonly providers: readonly Provider[];
  /** What was left out and why, one line each: an unreadable folder, a wrong api number, two packages with one name. */
  readonly problems: readonly string[];
}

export interface EncapDescription {
  readonly kind: 'encap';
  readonly name: string;
  readonly properties: readonly PropertyDescription[];
  readonly needs: readonly DestinationField[];
  readonly vnetid: { readonly min: number; readonly max: number };
  readonly carriesVlanTag: boolean;
  readonly format: HeaderFormat;
  readonly usualPort?: number;
}

export interface LookupDescription {
  readonly kind: 'lookup';
  readonly name: string;
  readonly properties: readonly PropertyDescription[];
}

export type Description = EncapDescription | LookupDescription;

/** Values by property name without prefix, as JSON. */
export type PropertyRecord = Readonly<Record<string, string | number | boolean>>;

/** The part of an instance's specification that its plugin may know. */
export interface HostedSpec {
  readonly plugin: string;
  readonly vnetid: number;
  readonly needs: readonly DestinationField[];
  readonly usualPort?: number;
  readonly values: PropertyRecord;
}

export type Ask =
  | {
      readonly id: number;
      readonly kind: 'lookup';
      readonly to: MacAddress;
      readonly from: MacAddress;
      readonly etherType: number;
      readonly vlan?: number;
    }
  | { readonly id: number; readonly kind: 'resolve'; readonly ip: IpAddress }
  | { readonly id: number; readonly kind: 'dhcp'; readonly client: MacAddress };

export type Answer =
  | { readonly id: number; readonly kind: 'found'; readonly destination: Destination }
  | { readonly id: number; readonly kind: 'resolved'; readonly mac: MacAddress; readonly destination?: Destination }
  | { readonly id: number; readonly kind: 'drop'; readonly reason: string };

/** An OverlayError on the channel. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly advice?: string;
}

export interface Refusal {
  readonly property: string;
  readonly reason: string;
}

/** What a started instance is. */
export interface Created {
  readonly mode: 'point' | 'dynamic';
  /** Only for mode point. */
  readonly point?: Destination;
  readonly group: boolean;
  readonly resolves: boolean;
  readonly servesDhcp: boolean;
}

/** A call is answered once, with its own kind of answer or with `failed`. */
export type Call =
  | { readonly type: 'describe'; readonly call: number; readonly kind: ProviderKind; readonly name: string }
  | { readonly type: 'refuse'; readonly call: number; readonly kind: ProviderKind; readonly name: string; readonly values: PropertyRecord }
  | { readonly type: 'socket'; readonly call: number; readonly name: string; readonly values: PropertyRecord }
  | { readonly type: 'create'; readonly call: number; readonly instance: number; readonly spec: HostedSpec };

export type CallType = Call['type'];
export type CallBody<T extends CallType> = Omit<Extract<Call, { readonly type: T }>, 'call' | 'type'>;

/** overlayd to a host. */
export type ToHost =
  | Call
  /** Ends an instance, also one whose create is not answered yet. Not answered itself. */
  | { readonly type: 'stop'; readonly instance: number }
  | { readonly type: 'asks'; readonly instance: number; readonly asks: readonly Ask[] }
  | { readonly type: 'abort'; readonly instance: number; readonly ids: readonly number[] }
  /** A part of the contents of an opened file, base64; they are complete with `last`. */
  | { readonly type: 'fileData'; readonly file: number; readonly data: string; readonly last: boolean }
  /** The file cannot be read; it is closed with this. */
  | { readonly type: 'fileFailed'; readonly file: number; readonly error: Failure }
  /** All of them; the answer to `watchAddresses`, and again after each change. */
  | { readonly type: 'localAddresses'; readonly instance: number; readonly addresses: readonly LocalAddress[] }
  | { readonly type: 'ping' };

export type Reply =
  | { readonly type: 'described'; readonly call: number; readonly description: Description }
  | { readonly type: 'refused'; readonly call: number; readonly refusal: Refusal | null }
  | { readonly type: 'bound'; readonly call: number; readonly socket: UnderlaySocket }
  | { readonly type: 'created'; readonly call: number; readonly created: Created }
  | { readonly type: 'failed'; readonly call: number; readonly error: Failure };

/** What an instance reports unasked. */
export type Report =
  | { readonly type: 'answers'; readonly instance: number; readonly answers: readonly Answer[] }
  | { readonly type: 'setTarget'; readonly instance: number; readonly mac: MacAddress; readonly destination: Destination }
  | { readonly type: 'invalidate'; readonly instance: number; readonly mac: MacAddress }
  | {
      readonly type: 'announce';
      readonly instance: number;
      readonly ip: IpAddress;
      readonly mac: MacAddress;
      readonly toMacs?: readonly MacAddress[];
    }
  | { readonly type: 'degrade'; readonly instance: number; readonly reason: string }
  | { readonly type: 'restore'; readonly instance: number }
  /** `file` is a number of the host's choice, its own for every open. */
  | { readonly type: 'openFile'; readonly instance: number; readonly file: number; readonly property: string }
  | { readonly type: 'closeFile'; readonly instance: number; readonly file: number }
  /** From now on, or once more from the beginning. */
  | { readonly type: 'watchAddresses'; readonly instance: number }
  | { readonly type: 'unwatchAddresses'; readonly instance: number }
  | { readonly type: 'log'; readonly instance: number; readonly level: 'info' | 'warn'; readonly message: string };

/** A host to overlayd. `ready` comes first, when the plugin's modules are imported or have failed to be. */
export type FromHost = { readonly type: 'ready' } | { readonly type: 'pong' } | Reply | Report;
