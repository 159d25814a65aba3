// Sizes of headers that every layer counts with. Bytes.

export const ETHERNET_HEADER_BYTES = 14;
export const VLAN_TAG_BYTES = 4;
/** IP and UDP around what is sent, by family of the underlay. */
export const IP_UDP_BYTES = { 4: 20 + 8, 6: 40 + 8 } as const;
