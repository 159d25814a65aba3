// The filter that keeps overlays from being interfaces of the host: what comes in on one is dropped at prerouting, by name.
import { constants } from 'node:os';
import { OverlayError } from '@overlayadm/api';
import { describeErrno, errnoOf, kernelRefused } from './errors.ts';
import { be32, cString, host, NLM_F } from './netlink/message.ts';
import {
  batchHeader,
  dropInputFrom,
  IFNAME_BYTES,
  keyInHostOrder,
  list,
  NF,
  NF_INET_PRE_ROUTING,
  NFNL_MSG_BATCH,
  NFT,
  NFT_TABLE_F_OWNER,
  NFTA_CHAIN,
  NFTA_ELEMENTS,
  NFTA_HOOK,
  NFTA_RULE,
  NFTA_SET,
  NFTA_TABLE,
  nameElement,
  nfgenmsg,
  PRIORITY_RAW,
  TYPE_IFNAME,
} from './netlink/nfnetlink.ts';
import { type BatchMessage, NETLINK, type NetlinkIo, NetlinkSocket } from './netlink/socket.ts';

const SET = 'isolated';
const CHAIN = 'prerouting';

const named = (type: number, name: string): Uint8Array => host.attribute(type, cString(name));

/** table inet NAME { flags owner; set isolated { type ifname; }; chain prerouting { ...; iifname @isolated counter drop } } */
export function encodeTable(table: string): BatchMessage[] {
  const make = (type: number, flags: number, ...attributes: Uint8Array[]): BatchMessage => ({
    type,
    flags: NLM_F.create | NLM_F.ack | flags,
    body: [nfgenmsg(), ...attributes],
  });
  const hook = host.nested(
    NFTA_CHAIN.hook,
    host.attribute(NFTA_HOOK.number, be32(NF_INET_PRE_ROUTING)),
    host.attribute(NFTA_HOOK.priority, be32(PRIORITY_RAW)),
  );
  return [
    make(NFT.newTable, NLM_F.excl, named(NFTA_TABLE.name, table), host.attribute(NFTA_TABLE.flags, be32(NFT_TABLE_F_OWNER))),
    make(
      NFT.newChain,
      NLM_F.excl,
      named(NFTA_CHAIN.table, table),
      named(NFTA_CHAIN.name, CHAIN),
      hook,
      host.attribute(NFTA_CHAIN.policy, be32(NF.accept)),
      named(NFTA_CHAIN.type, 'filter'),
    ),
    make(
      NFT.newSet,
      NLM_F.excl,
      named(NFTA_SET.table, table),
      named(NFTA_SET.name, SET),
      host.attribute(NFTA_SET.keyType, be32(TYPE_IFNAME)),
      host.attribute(NFTA_SET.keyLength, be32(IFNAME_BYTES)),
      // Asked for by the kernel; only of use when a set is named by number within a batch.
      host.attribute(NFTA_SET.id, be32(1)),
      host.attribute(NFTA_SET.userData, keyInHostOrder()),
    ),
    make(NFT.newRule, NLM_F.append, named(NFTA_RULE.table, table), named(NFTA_RULE.chain, CHAIN), list(NFTA_RULE.expressions, dropInputFrom(SET))),
  ];
}

export function encodeElement(table: string, change: 'add' | 'remove', name: string): BatchMessage {
  return {
    type: change === 'add' ? NFT.newSetElement : NFT.delSetElement,
    flags: NLM_F.ack | (change === 'add' ? NLM_F.create : 0),
    body: [nfgenmsg(), named(NFTA_ELEMENTS.table, table), named(NFTA_ELEMENTS.set, SET), list(NFTA_ELEMENTS.elements, [nameElement(name)])],
  };
}

/** A transaction: all of it, or nothing (nfnetlink.h, NFNL_MSG_BATCH_BEGIN). */
export const encodeBatch = (messages: readonly BatchMessage[]): BatchMessage[] => [
  { type: NFNL_MSG_BATCH.begin, flags: 0, body: [batchHeader()] },
  ...messages,
  { type: NFNL_MSG_BATCH.end, flags: 0, body: [batchHeader()] },
];

/**
 * Names in the set and nothing else; the table is made with the first name and lives as long as this object's socket. It
 * is owned by that socket, so "nft flush ruleset" passes it by and it cannot outlive overlayd.
 */
export class IsolationTable {
  readonly #io: NetlinkIo;
  readonly #table: string;
  readonly #names = new Set<string>();
  #socket: NetlinkSocket | undefined;

  constructor(io: NetlinkIo, stateId: string) {
    this.#io = io;
    this.#table = `overlayadm_${stateId}`;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** @throws OverlayError NFTABLES_MISSING, NOT_PERMITTED, NETLINK_REFUSED */
  add(name: string): void {
    if (this.#names.has(name)) return;
    const element = encodeElement(this.#table, 'add', name);
    if (this.#socket === undefined) this.#open([...encodeTable(this.#table), element]);
    else this.#commit(this.#socket, [element]);
    this.#names.add(name);
  }

  remove(name: string): void {
    if (this.#socket === undefined || !this.#names.has(name)) return;
    this.#commit(this.#socket, [encodeElement(this.#table, 'remove', name)]);
    this.#names.delete(name);
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#names.clear();
  }

  #open(messages: readonly BatchMessage[]): void {
    let socket: NetlinkSocket;
    try {
      socket = new NetlinkSocket(this.#io, { protocol: NETLINK.netfilter });
    } catch (error) {
      throw this.#refused(errnoOf(error) ?? 0, error);
    }
    try {
      this.#commit(socket, messages);
    } catch (error) {
      socket.close();
      throw error;
    }
    this.#socket = socket;
  }

  #commit(socket: NetlinkSocket, messages: readonly BatchMessage[]): void {
    const failed = socket.batch({ subject: `nftables table ${this.#table}`, action: 'be changed' }, encodeBatch(messages));
    if (failed !== undefined) throw this.#refused(failed.errno);
  }

  #refused(errno: number, cause?: unknown): OverlayError {
    const { EOPNOTSUPP, EPROTONOSUPPORT, EINVAL, EEXIST, EPERM } = constants.errno;
    const subject = `nftables table ${this.#table}`;
    const { code, text } = describeErrno(errno);
    const parts = { details: { errno, code }, cause };
    if (errno === EOPNOTSUPP || errno === EPROTONOSUPPORT || errno === EINVAL) {
      return new OverlayError('NFTABLES_MISSING', `${subject}: cannot be made, the kernel has no nf_tables or one before Linux 5.12 (${code})`, {
        ...parts,
        advice: 'Load it with "modprobe nf_tables", or use a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET.',
      });
    }
    if (errno === EEXIST || (errno === EPERM && process.geteuid?.() === 0)) {
      return new OverlayError('NETLINK_REFUSED', `${subject}: cannot be changed (${code}: ${text})`, {
        ...parts,
        advice: `Is another overlayd running here? "nft list table inet ${this.#table}" shows the table and its owner.`,
      });
    }
    return kernelRefused(subject, 'be changed', errno, cause);
  }
}
