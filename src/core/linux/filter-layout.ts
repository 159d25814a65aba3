// The table that guards the vxlan links of the kernel, as data: its sets, chains and rules, and the transactions that make and change it.
import { MAX_ELEMENTS_PER_MESSAGE } from '../util/limits.ts';
import { concat, host } from './netlink/message.ts';
import {
  accept,
  countAndDrop,
  dropInputFrom,
  type Expression,
  isEqual,
  isIn,
  loadMeta,
  loadPayload,
  NFT_META,
  NFT_PAYLOAD,
  NFT_REGISTER,
} from './netlink/nf-expressions.ts';
import { keyElement, NF_INET_LOCAL_IN, PRIORITY_BEFORE_FILTER } from './netlink/nfnetlink.ts';
import type { BatchMessage } from './netlink/socket.ts';
import { type Chain, changeElements, deleteTable, type ElementSet, makeChain, makeRule, makeSet, makeTable } from './nft-messages.ts';
import { ISOLATED, PREROUTING } from './nftables.ts';

/** nft(8)'s numbers of what keys are made of (its datatype.h); those of a concatenation stand in 6 bits each, the first one highest. */
const TYPE = { integer: 4, ipv4: 7, ipv6: 8, port: 13 } as const;
const concatenated = (...types: number[]): number => types.reduce((all, type) => (all << 6) | type, 0);

const tlv = (type: number, value: Uint8Array): Uint8Array => concat([Uint8Array.of(type, value.length), value]);
const numbers = (...values: readonly number[]): Uint8Array => concat(values.map((value, type) => tlv(type, host.u32(value))));
/**
 * How nft(8) remembers `typeof EXPRESSION` (libnftnl/udata.h; its expression.h and proto.h): EXPR_PAYLOAD is 7, and then either a protocol and the number of
 * a field of it, or no protocol (0, 0) and base, offset and length in bits. Read off from sets that nft 1.0.6 made.
 */
const payloadExpression = (...values: readonly number[]): Uint8Array => concat([tlv(0, host.u32(7)), tlv(1, numbers(...values))]);
const UDP_DPORT = payloadExpression(6, 2);
const TH_96_24 = payloadExpression(0, 0, 3, 96, 24);
const IP_DADDR = payloadExpression(12, 12);
const IP6_DADDR = payloadExpression(13, 9);
/** NFTNL_UDATA_SET_KEYBYTEORDER: none; NFTNL_UDATA_SET_KEY_TYPEOF: EXPR_CONCAT is 13. */
const typeofConcatenated = (...parts: readonly Uint8Array[]): Uint8Array =>
  concat([tlv(0, host.u32(0)), tlv(3, concat([tlv(0, host.u32(13)), tlv(1, concat(parts.map((part, at) => tlv(at, part))))]))]);

/** Every part of a key takes whole words of 32 bits: port, VNI, address. */
export const KEY = { ours: 8, at4: 12, at6: 24 } as const;

const ours = (name: string): ElementSet => ({
  name,
  keyType: concatenated(TYPE.port, TYPE.integer),
  keyLength: KEY.ours,
  userData: typeofConcatenated(UDP_DPORT, TH_96_24),
});
const at = (name: string, keyLength: number, type: number, address: Uint8Array): ElementSet => ({
  name,
  keyType: concatenated(TYPE.port, TYPE.integer, type),
  keyLength,
  userData: typeofConcatenated(UDP_DPORT, TH_96_24, address),
});

/** By family, because an IPv4 and an IPv6 overlay may have the same port and VNI. Lookups by hash: their number costs a datagram nothing. */
export const FILTER_SETS: readonly ElementSet[] = [
  ISOLATED,
  ours('ours4'),
  at('at4', KEY.at4, TYPE.ipv4, IP_DADDR),
  ours('ours6'),
  at('at6', KEY.at6, TYPE.ipv6, IP6_DADDR),
];

const INPUT: Chain = { name: 'input', hook: NF_INET_LOCAL_IN, priority: PRIORITY_BEFORE_FILTER };
export const FILTER_CHAINS: readonly Chain[] = [PREROUTING, INPUT];

const IPPROTO_UDP = 17;
/** UDP destination port (RFC 768), and the VNI behind the 8 bytes of UDP and 4 of VXLAN (RFC 7348 §5). */
const loadPortAndVni = (): Expression[] => [
  loadPayload(NFT_PAYLOAD.transport, 2, 2, NFT_REGISTER.first),
  loadPayload(NFT_PAYLOAD.transport, 12, 3, NFT_REGISTER.secondWord),
];

interface Family {
  readonly name: '4' | '6';
  readonly nfproto: number;
  /** Where the destination address is in the header, and its length. Bytes. */
  readonly offset: number;
  readonly length: number;
}
/** NFPROTO_IPV4, NFPROTO_IPV6; the destination address in their headers (RFC 791 §3.1, RFC 8200 §3). */
const V4: Family = { name: '4', nfproto: 2, offset: 16, length: 4 };
const V6: Family = { name: '6', nfproto: 10, offset: 24, length: 16 };

const isUdp = (): Expression[] => [loadMeta(NFT_META.l4proto), isEqual(IPPROTO_UDP)];
const isFamily = ({ nfproto }: Family): Expression[] => [loadMeta(NFT_META.nfproto), isEqual(nfproto)];

/**
 * `udp dport . @th,96,24 . ip daddr @atN accept`, and behind it `meta nfproto ipv4 udp dport . @th,96,24 @oursN counter drop`: what is right
 * costs one lookup. Other chains see it all the same. Expression by expression as nft(8) makes them of these lines: a table that somebody
 * saved and loaded again is not taken for another one.
 */
const acceptHere = (family: Family): Expression[] => [
  ...isUdp(),
  ...isFamily(family),
  ...loadPortAndVni(),
  loadPayload(NFT_PAYLOAD.network, family.offset, family.length, NFT_REGISTER.thirdWord),
  isIn(`at${family.name}`),
  accept(),
];
const dropElsewhere = (family: Family): Expression[] => [
  ...isFamily(family),
  ...isUdp(),
  ...loadPortAndVni(),
  isIn(`ours${family.name}`),
  ...countAndDrop(),
];

export const FILTER_RULES: readonly { readonly chain: string; readonly expressions: readonly Expression[] }[] = [
  { chain: PREROUTING.name, expressions: dropInputFrom(ISOLATED.name) },
  ...[V4, V6].flatMap((family) => [acceptHere(family), dropElsewhere(family)]).map((expressions) => ({ chain: INPUT.name, expressions })),
];

/** `SET HEX`: a set and a key in it. */
export type Element = string;
export const elementOf = (set: string, key: Uint8Array): Element => `${set} ${Buffer.from(key).toString('hex')}`;
export const setOf = (element: Element): string => element.slice(0, element.indexOf(' '));
export const keyOf = (element: Element): Buffer => Buffer.from(element.slice(element.indexOf(' ') + 1), 'hex');

function encodeChange(table: string, change: 'add' | 'remove', elements: readonly Element[]): BatchMessage[] {
  const messages: BatchMessage[] = [];
  for (const { name } of FILTER_SETS) {
    const members = elements.filter((element) => setOf(element) === name).map((element) => keyElement(keyOf(element)));
    for (let first = 0; first < members.length; first += MAX_ELEMENTS_PER_MESSAGE) {
      messages.push(changeElements(table, name, change, members.slice(first, first + MAX_ELEMENTS_PER_MESSAGE)));
    }
  }
  return messages;
}

export const encodeElements = (table: string, added: readonly Element[], removed: readonly Element[]): BatchMessage[] => [
  ...encodeChange(table, 'remove', removed),
  ...encodeChange(table, 'add', added),
];

/** The table as it has to be, whatever is there: made first so that it can be deleted. */
export const encodeFilter = (table: string, elements: readonly Element[]): BatchMessage[] => [
  ...encodeNoFilter(table),
  makeTable(table, 0, true),
  ...FILTER_CHAINS.map((chain) => makeChain(table, chain)),
  ...FILTER_SETS.map((set, number) => makeSet(table, set, number + 1)),
  ...FILTER_RULES.map(({ chain, expressions }) => makeRule(table, chain, expressions)),
  ...encodeChange(table, 'add', elements),
];

export const encodeNoFilter = (table: string): BatchMessage[] => [makeTable(table, 0, false), deleteTable(table)];
