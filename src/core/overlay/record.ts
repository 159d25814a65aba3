// What is remembered of an overlay over restarts: enough to forward again without asking anybody. Plain data, and the changes of it.
import type { IpAddress, UnderlaySocket } from '@overlayadm/api';
import type { DriverName } from '../datapath/driver.ts';
import type { Created, EncapDescription, Setter } from '../lookup/types.ts';
import type { ResolvedProperty } from '../property/table.ts';

/** Raised when an older overlayd could misunderstand a record; records of a newer one are kept, shown and not used. */
export const RECORD_VERSION = 1;

/** A VNIC as it was asked for. */
export interface VnicRecord {
  readonly name: string;
  /** Drawn once when nobody gave one. */
  readonly mac: string;
  /** Bytes. */
  readonly mtu: number;
  /** Name of its network namespace; null for overlayd's own. */
  readonly netns: string | null;
  /** VLAN identifier, 1-4094; null for a VNIC that sends and receives frames as they are. */
  readonly vid: number | null;
}

export interface OverlayRecord {
  readonly version: typeof RECORD_VERSION;
  readonly name: string;
  /** `varpd/id`. */
  readonly id: number;
  readonly vnetid: number;
  /** The encapsulation as its plugin described it when the overlay was made: no plugin is needed to forward again. */
  readonly encap: EncapDescription;
  readonly search: string;
  /** What the lookup instance said it can do. */
  readonly lookup: Created;
  readonly socket: UnderlaySocket;
  readonly driver: DriverName;
  /** As show-overlay says it: the driver, and behind `auto` why it was chosen. */
  readonly datapath: string;
  /** With their descriptions, so that they can be shown while the plugin is away. */
  readonly properties: readonly ResolvedProperty[];
  /** Who named the file, by full name of the property of type path. */
  readonly setters: Readonly<Record<string, Setter>>;
  readonly vnics: readonly VnicRecord[];
}

/** Bytes, without Ethernet header. */
export const mtuOf = ({ properties }: Pick<OverlayRecord, 'properties'>): number =>
  Number(properties.find(({ fullName }) => fullName === 'mtu')?.value);

/** With this VNIC in place of the one of its name, or as a new one. */
export function withVnic<R extends Pick<OverlayRecord, 'vnics'>>(record: R, vnic: VnicRecord): R {
  return { ...record, vnics: [...record.vnics.filter(({ name }) => name !== vnic.name), vnic] };
}

export function withoutVnic<R extends Pick<OverlayRecord, 'vnics'>>(record: R, name: string): R {
  return { ...record, vnics: record.vnics.filter((vnic) => vnic.name !== name) };
}

/** What an overlay is, as far as its parts need to know. */
export interface OverlayFacts extends Omit<OverlayRecord, 'version' | 'vnics'> {
  readonly listenIp: IpAddress;
  /** Largest packet in a frame, bytes. */
  readonly mtu: number;
}

export function factsOf(record: OverlayRecord): OverlayFacts {
  const { version, vnics, ...facts } = record;
  return { ...facts, listenIp: record.socket.listenIp, mtu: mtuOf(record) };
}
