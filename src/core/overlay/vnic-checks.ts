// What a new VNIC may be: its address, its VLAN, and how long it may last.
import { type MacAddress, macFromBytes, OverlayError } from '@overlayadm/api';
import type { PropertyText } from '../property/arguments.ts';
import { VLAN_ID } from '../util/limits.ts';
import { readInterfaceMac } from './interface-mac.ts';
import { checkLinkName } from './names.ts';
import type { VnicRecord } from './record.ts';
import { overlayOfVnic, type VnicRecords } from './vnic-book.ts';
import { checkMtu, readChanges } from './vnic-properties.ts';

/** Of an overlay, what VNICs depend on; `facts` of an Overlay has all of it. */
export interface OverlayOfVnic {
  readonly name: string;
  /** Bytes. */
  readonly mtu: number;
  readonly encap: { readonly name: string; readonly carriesVlanTag: boolean };
}

export interface VnicRequest {
  readonly name: string;
  readonly overlay: string;
  readonly mac?: string | undefined;
  /** 1-4094: a port of this VLAN, untagged inside. */
  readonly vid?: number | undefined;
  readonly properties: readonly PropertyText[];
  /** Gone after a reboot. */
  readonly temporary: boolean;
}

/** What a new VNIC depends on. */
export interface NewVnicParts {
  readonly overlay: OverlayOfVnic;
  readonly records: VnicRecords;
  /** There is one of this name. */
  readonly isUp: boolean;
  randomBytes(count: number): Uint8Array;
  /** @throws OverlayError LINK_EXISTS, NETNS_NOT_FOUND, NETNS_NAME */
  refuseName(netns: string | null): void;
  /** Addresses that are taken, and whose they are. */
  usedMacs(): ReadonlyMap<string, string>;
}

/**
 * The record of a VNIC that may be made.
 * @throws OverlayError LINK_NAME, PROPERTY_*, VNIC_VID_RANGE, VNIC_VID_NOT_CARRIED, MTU_RANGE, VNIC_EXISTS,
 * VNIC_OVER_TEMPORARY, MAC_INVALID, MAC_IN_USE, and what refuseName() throws
 */
export function newVnic(request: VnicRequest, parts: NewVnicParts): VnicRecord {
  const { name, temporary } = request;
  const { overlay, records } = parts;
  checkLinkName(name);
  const { mtu = overlay.mtu, netns = null } = readChanges(request.properties);
  if (request.vid !== undefined) checkVid(request.vid, overlay);
  checkMtu(name, mtu, overlay);
  if (parts.isUp || overlayOfVnic(records, name, ['up', 'saved']) !== undefined) throw existsAlready(name, parts.isUp);
  if (!temporary && !records.isSaved(overlay.name)) throw overTemporary(name, overlay.name);
  parts.refuseName(netns);
  const used = parts.usedMacs();
  const mac = request.mac === undefined ? drawMac(parts.randomBytes, (each) => !used.has(each)) : readInterfaceMac(request.mac);
  const user = used.get(mac);
  if (user !== undefined) throw macInUse(mac, user);
  return { name, mac, mtu, netns, vid: request.vid ?? null };
}

/** Locally administered (the second lowest bit of the first octet) and for one receiver (the lowest clear). */
function drawMac(randomBytes: (count: number) => Uint8Array, isFree: (mac: MacAddress) => boolean): MacAddress {
  for (;;) {
    const bytes = randomBytes(6);
    bytes[0] = ((bytes[0] as number) & 0xfc) | 0x02;
    const mac = macFromBytes(bytes);
    if (isFree(mac)) return mac;
  }
}

/** @throws OverlayError VNIC_VID_RANGE, VNIC_VID_NOT_CARRIED */
function checkVid(vid: number, { name, encap }: OverlayOfVnic): void {
  if (!Number.isInteger(vid) || vid < VLAN_ID.min || vid > VLAN_ID.max) {
    throw new OverlayError('VNIC_VID_RANGE', `invalid vlan-id ${vid}`, {
      details: { vid, ...VLAN_ID },
      advice: `Give a number from ${VLAN_ID.min} to ${VLAN_ID.max}.`,
    });
  }
  if (encap.carriesVlanTag) return;
  throw new OverlayError('VNIC_VID_NOT_CARRIED', `${name}: its encapsulation ${encap.name} carries no VLAN tags`, {
    details: { overlay: name, encap: encap.name, vid },
    advice: 'Leave out -v, or use an overlay for each VLAN.',
  });
}

function existsAlready(name: string, isUp: boolean): OverlayError {
  const advice = isUp
    ? 'Choose another name; "overlayadm show-vnic" shows the ones there are.'
    : `Choose another name; this one is saved: "overlayadm up-overlay" brings it up, "overlayadm delete-vnic ${name}" removes it.`;
  return new OverlayError('VNIC_EXISTS', `${name}: object already exists`, { details: { vnic: name }, advice });
}

export const notFound = (name: string, action?: string): OverlayError =>
  new OverlayError('VNIC_NOT_FOUND', `${action === undefined ? '' : `failed to ${action} `}${name}: object not found`, {
    details: { vnic: name },
    advice: '"overlayadm show-vnic" shows the ones there are.',
  });

const macInUse = (mac: MacAddress, user: string): OverlayError =>
  new OverlayError('MAC_IN_USE', `mac address ${mac} is in use by ${user}`, {
    details: { mac, vnic: user },
    advice: 'Choose another address, or leave out -m to have one drawn.',
  });

const overTemporary = (name: string, overlay: string): OverlayError =>
  new OverlayError('VNIC_OVER_TEMPORARY', `${name}: can't create persistent object on top of temporary object (${overlay})`, {
    details: { vnic: name, overlay },
    advice: 'Add -t to make it temporary too.',
  });

export const deletedMeanwhile = (name: string, overlay: string): OverlayError =>
  new OverlayError('OVERLAY_NOT_FOUND', `${name}: ${overlay} was deleted meanwhile`, {
    details: { vnic: name, overlay },
    advice: '"overlayadm show-overlay" shows the overlays there are.',
  });

export const temporaryOnly = (name: string): OverlayError =>
  new OverlayError('CHANGE_NOT_PERSISTENT', `${name}: change cannot be persistent, the VNIC is temporary`, {
    details: { vnic: name },
    advice: 'Add -t.',
  });
