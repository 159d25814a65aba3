// Addresses that are canonical already, told without taking them apart: most of what crosses a channel is.
import { type IpAddress, type MacAddress, parseIp, parseMac } from '@overlayadm/api';

const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/;
const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);

/** parseMac(), faster where nothing has to be changed. */
export const readMac = (text: string): MacAddress | undefined => (MAC.test(text) ? (text as MacAddress) : parseMac(text));

/** parseIp(), faster for IPv4. */
export const readIp = (text: string): IpAddress | undefined => (IPV4.test(text) ? (text as IpAddress) : parseIp(text));
