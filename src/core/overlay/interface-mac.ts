// The address of one interface, as a target and a VNIC have it: neither a group nor nobody's.
import { isGroupMac, type MacAddress, OverlayError, parseMac } from '@overlayadm/api';

export const isInterfaceMac = (mac: MacAddress): boolean => !isGroupMac(mac) && mac !== '00:00:00:00:00:00';

/** Reads what a person has typed. @throws OverlayError MAC_INVALID */
export function readInterfaceMac(text: string): MacAddress {
  const mac = parseMac(text);
  if (mac !== undefined && isInterfaceMac(mac)) return mac;
  const why = mac === undefined ? 'invalid mac address' : 'not the address of one interface';
  throw new OverlayError('MAC_INVALID', `${why}: ${JSON.stringify(text.slice(0, 64))}`, {
    details: { mac: text },
    advice: 'Give six octets like 2:8:20:0:0:1; the first octet has to be even.',
  });
}
