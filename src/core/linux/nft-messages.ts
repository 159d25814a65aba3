// The messages of which our tables of nf_tables are made: table, chain, set, rule, elements, and the marks around a transaction.
import { be32, cString, host, NLM_F } from './netlink/message.ts';
import type { Expression } from './netlink/nf-expressions.ts';
import {
  batchHeader,
  list,
  NF,
  NFNL_MSG_BATCH,
  NFT,
  NFTA_CHAIN,
  NFTA_ELEMENTS,
  NFTA_HOOK,
  NFTA_RULE,
  NFTA_SET,
  NFTA_TABLE,
  nfgenmsg,
} from './netlink/nfnetlink.ts';
import type { BatchMessage } from './netlink/socket.ts';

export interface Chain {
  readonly name: string;
  /** NF_INET_* */
  readonly hook: number;
  readonly priority: number;
}

export interface ElementSet {
  readonly name: string;
  /** nft(8)'s number for it; for the kernel without meaning. */
  readonly keyType: number;
  /** Bytes. */
  readonly keyLength: number;
  /** What nft(8) needs to show the keys. */
  readonly userData: Uint8Array;
}

export const named = (type: number, name: string): Uint8Array => host.attribute(type, cString(name));

const make = (type: number, flags: number, ...attributes: Uint8Array[]): BatchMessage => ({
  type,
  flags: NLM_F.create | NLM_F.ack | flags,
  body: [nfgenmsg(), ...attributes],
});

/** @param exclusive False: fine when it is there. */
export const makeTable = (table: string, flags: number, exclusive: boolean): BatchMessage =>
  make(NFT.newTable, exclusive ? NLM_F.excl : 0, named(NFTA_TABLE.name, table), host.attribute(NFTA_TABLE.flags, be32(flags)));

/** With all that is in it. */
export const deleteTable = (table: string): BatchMessage => ({
  type: NFT.delTable,
  flags: NLM_F.ack,
  body: [nfgenmsg(), named(NFTA_TABLE.name, table)],
});

export function makeChain(table: string, { name, hook, priority }: Chain): BatchMessage {
  const place = host.nested(NFTA_CHAIN.hook, host.attribute(NFTA_HOOK.number, be32(hook)), host.attribute(NFTA_HOOK.priority, be32(priority)));
  const policy = host.attribute(NFTA_CHAIN.policy, be32(NF.accept));
  return make(
    NFT.newChain,
    NLM_F.excl,
    named(NFTA_CHAIN.table, table),
    named(NFTA_CHAIN.name, name),
    place,
    policy,
    named(NFTA_CHAIN.type, 'filter'),
  );
}

/** @param id Asked for by the kernel; only of use when a set is named by number within a batch. */
export const makeSet = (table: string, { name, keyType, keyLength, userData }: ElementSet, id: number): BatchMessage =>
  make(
    NFT.newSet,
    NLM_F.excl,
    named(NFTA_SET.table, table),
    named(NFTA_SET.name, name),
    host.attribute(NFTA_SET.keyType, be32(keyType)),
    host.attribute(NFTA_SET.keyLength, be32(keyLength)),
    host.attribute(NFTA_SET.id, be32(id)),
    host.attribute(NFTA_SET.userData, userData),
  );

export const makeRule = (table: string, chain: string, expressions: readonly Expression[]): BatchMessage =>
  make(NFT.newRule, NLM_F.append, named(NFTA_RULE.table, table), named(NFTA_RULE.chain, chain), list(NFTA_RULE.expressions, expressions));

/** Adding one that is there is fine; removing one that is not makes the transaction fail with ENOENT. */
export const changeElements = (table: string, set: string, change: 'add' | 'remove', elements: readonly (readonly Uint8Array[])[]): BatchMessage => ({
  type: change === 'add' ? NFT.newSetElement : NFT.delSetElement,
  flags: NLM_F.ack | (change === 'add' ? NLM_F.create : 0),
  body: [nfgenmsg(), named(NFTA_ELEMENTS.table, table), named(NFTA_ELEMENTS.set, set), list(NFTA_ELEMENTS.elements, elements)],
});

/** A transaction: all of it, or nothing (nfnetlink.h, NFNL_MSG_BATCH_BEGIN). */
export const encodeBatch = (messages: readonly BatchMessage[]): BatchMessage[] => [
  { type: NFNL_MSG_BATCH.begin, flags: 0, body: [batchHeader()] },
  ...messages,
  { type: NFNL_MSG_BATCH.end, flags: 0, body: [batchHeader()] },
];
