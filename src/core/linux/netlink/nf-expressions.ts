// What rules of nf_tables are made of: expressions as bytes, and a text of an expression that is equal when it does the same.
import { be32, cString, host, readText } from './message.ts';
import { NF, NFTA_DATA, NFTA_VERDICT_CODE } from './nfnetlink.ts';

/** One expression of a rule (include/uapi/linux/netfilter/nf_tables.h). */
export type Expression = readonly Uint8Array[];

const NFTA_EXPR = { name: 1, data: 2 } as const;
const NFTA_META = { destination: 1, key: 2 } as const;
const NFTA_CMP = { source: 1, operation: 2, data: 3 } as const;
const NFTA_PAYLOAD = { destination: 1, base: 2, offset: 3, length: 4 } as const;
const NFTA_LOOKUP = { set: 1, source: 2, flags: 5 } as const;
const NFTA_IMMEDIATE = { destination: 1, data: 2 } as const;
const NFT_CMP_EQ = 0;

/**
 * Registers of 16 bytes from 1 on, and the same memory again as words of 32 bits from NFT_REG32_00 = 8 on: 1 and 8 are the
 * same word. The parts of a concatenated key stand one behind the other in words of their own.
 */
export const NFT_REGISTER = { verdict: 0, first: 1, secondWord: 9, thirdWord: 10 } as const;
export const NFT_META = { iifname: 6, nfproto: 15, l4proto: 16 } as const;
export const NFT_PAYLOAD = { network: 1, transport: 2 } as const;

const expression = (name: string, ...data: Uint8Array[]): Expression => [
  host.attribute(NFTA_EXPR.name, cString(name)),
  host.nested(NFTA_EXPR.data, ...data),
];
const number = (type: number, value: number): Uint8Array => host.attribute(type, be32(value));

export const loadMeta = (key: number): Expression =>
  expression('meta', number(NFTA_META.key, key), number(NFTA_META.destination, NFT_REGISTER.first));

/** Goes on when the first register begins with these bytes. */
export const isEqual = (...bytes: number[]): Expression =>
  expression(
    'cmp',
    number(NFTA_CMP.source, NFT_REGISTER.first),
    number(NFTA_CMP.operation, NFT_CMP_EQ),
    host.nested(NFTA_CMP.data, host.attribute(NFTA_DATA.value, Uint8Array.from(bytes))),
  );

/** Bytes of the packet; the rule does not match where the packet has not so many. */
export const loadPayload = (base: number, offset: number, length: number, register: number): Expression =>
  expression(
    'payload',
    number(NFTA_PAYLOAD.destination, register),
    number(NFTA_PAYLOAD.base, base),
    number(NFTA_PAYLOAD.offset, offset),
    number(NFTA_PAYLOAD.length, length),
  );

export const isIn = (set: string): Expression =>
  expression('lookup', host.attribute(NFTA_LOOKUP.set, cString(set)), number(NFTA_LOOKUP.source, NFT_REGISTER.first));

const verdict = (code: number): Expression =>
  expression(
    'immediate',
    number(NFTA_IMMEDIATE.destination, NFT_REGISTER.verdict),
    host.nested(NFTA_IMMEDIATE.data, host.nested(NFTA_DATA.verdict, number(NFTA_VERDICT_CODE, code))),
  );
/** No further rule of this chain; other chains go on. */
export const accept = (): Expression => verdict(NF.accept);
export const countAndDrop = (): Expression[] => [expression('counter'), verdict(NF.drop)];

/** `iifname @SET counter drop` */
export const dropInputFrom = (set: string): Expression[] => [loadMeta(NFT_META.iifname), isIn(set), ...countAndDrop()];

/** Attributes within attributes, by their place: what holds bytes cannot be told from what holds attributes. */
interface Nesting {
  readonly [type: number]: Nesting;
}
/** What of an expression is compared; later kernels may say more of it. A counter counts, which is no difference. */
const COMPARED: Readonly<Record<string, { readonly highest: number; readonly nesting: Nesting }>> = {
  meta: { highest: 3, nesting: {} },
  cmp: { highest: 3, nesting: { [NFTA_CMP.data]: {} } },
  payload: { highest: 8, nesting: {} },
  lookup: { highest: 5, nesting: {} },
  counter: { highest: 0, nesting: {} },
  immediate: { highest: 2, nesting: { [NFTA_IMMEDIATE.data]: { [NFTA_DATA.verdict]: {} } } },
};
/** The kernel says it also where nothing was asked for. */
const LEFT_OUT = new Set([`lookup ${NFTA_LOOKUP.flags}=00000000`]);

function textOf(data: Uint8Array, highest: number, nesting: Nesting): string[] {
  const known = host.readAttributeList(data).filter(([type]) => type <= highest);
  return known.map(([type, value]) => {
    const inner = nesting[type];
    return inner === undefined ? `${type}=${Buffer.from(value).toString('hex')}` : `${type}={${textOf(value, Infinity, inner).join(' ')}}`;
  });
}

/** Of a list member that holds an expression, as we send it or as the kernel shows it; for any bytes. */
export function describeExpression(member: Uint8Array): string {
  const attributes = host.readAttributes(member);
  const name = readText(attributes.get(NFTA_EXPR.name)) ?? '';
  const compared = Object.hasOwn(COMPARED, name) ? COMPARED[name] : undefined;
  const parts = textOf(attributes.get(NFTA_EXPR.data) ?? new Uint8Array(0), compared?.highest ?? Infinity, compared?.nesting ?? {});
  const said = parts.filter((part) => !LEFT_OUT.has(`${name} ${part}`));
  return [name, ...said.toSorted()].join(' ');
}
