// What a new VNIC may be: its address, its VLAN, and how long it may last.
import { isGroupMac, type MacAddress, macFromBytes, OverlayError, parseMac } from '@overlayadm/api';
import { VLAN_ID } from '../util/limits.ts';

/** Of an overlay, what VNICs depend on; `facts` of an Overlay has all of it. */
export interface OverlayOfVnic {
  readonly name: string;
  /** Bytes. */
  readonly mtu: number;
  readonly encap: { readonly name: string; readonly carriesVlanTag: boolean };
}

export const NO_MAC = '00:00:00:00:00:00';

/** @throws OverlayError MAC_INVALID */
export function readVnicMac(text: string): MacAddress {
  const mac = parseMac(text);
  if (mac !== undefined && !isGroupMac(mac) && mac !== NO_MAC) return mac;
  const why = mac === undefined ? 'invalid mac address' : 'not the address of one interface';
  throw new OverlayError('MAC_INVALID', `${why}: ${JSON.stringify(text.slice(0, 64))}`, {
    details: { mac: text },
    advice: 'Give six octets like 2:8:20:0:0:1; the first octet has to be even.',
  });
}

/** Locally administered (the second lowest bit of the first octet) and for one receiver (the lowest clear). */
export function drawMac(randomBytes: (count: number) => Uint8Array, isFree: (mac: MacAddress) => boolean): MacAddress {
  for (;;) {
    const bytes = randomBytes(6);
    bytes[0] = ((bytes[0] as number) & 0xfc) | 0x02;
    const mac = macFromBytes(bytes);
    if (isFree(mac)) return mac;
  }
}

/** @throws OverlayError VNIC_VID_RANGE, VNIC_VID_NOT_CARRIED */
export function checkVid(vid: number, { name, encap }: OverlayOfVnic): void {
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

export function existsAlready(name: string, isUp: boolean): OverlayError {
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

export const macInUse = (mac: MacAddress, user: string): OverlayError =>
  new OverlayError('MAC_IN_USE', `mac address ${mac} is in use by ${user}`, {
    details: { mac, vnic: user },
    advice: 'Choose another address, or leave out -m to have one drawn.',
  });

export const overTemporary = (name: string, overlay: string): OverlayError =>
  new OverlayError('VNIC_OVER_TEMPORARY', `${name}: can't create persistent object on top of temporary object (${overlay})`, {
    details: { vnic: name, overlay },
    advice: 'Add -t to make it temporary too.',
  });

export const temporaryOnly = (name: string): OverlayError =>
  new OverlayError('CHANGE_NOT_PERSISTENT', `${name}: change cannot be persistent, the VNIC is temporary`, {
    details: { vnic: name },
    advice: 'Add -t.',
  });
