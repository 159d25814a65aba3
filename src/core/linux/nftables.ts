// The filter that keeps overlays from being interfaces of the host: what comes in on one is dropped at prerouting, by name.
import { errnoOf } from './errors.ts';
import { dropInputFrom } from './netlink/nf-expressions.ts';
import { IFNAME_BYTES, keyInHostOrder, NF_INET_PRE_ROUTING, NFT_TABLE_F_OWNER, nameElement, PRIORITY_RAW, TYPE_IFNAME } from './netlink/nfnetlink.ts';
import { type BatchMessage, NETLINK, type NetlinkIo, NetlinkSocket } from './netlink/socket.ts';
import { type Chain, changeElements, type ElementSet, encodeBatch, makeChain, makeRule, makeSet, makeTable } from './nft-messages.ts';
import { tableRefused } from './nft-refusals.ts';

/** Links that are overlays, by name. The same in both of our tables. */
export const ISOLATED: ElementSet = { name: 'isolated', keyType: TYPE_IFNAME, keyLength: IFNAME_BYTES, userData: keyInHostOrder() };
export const PREROUTING: Chain = { name: 'prerouting', hook: NF_INET_PRE_ROUTING, priority: PRIORITY_RAW };

/** table inet NAME { flags owner; set isolated { type ifname; }; chain prerouting { ...; iifname @isolated counter drop } } */
export const encodeTable = (table: string): BatchMessage[] => [
  makeTable(table, NFT_TABLE_F_OWNER, true),
  makeChain(table, PREROUTING),
  makeSet(table, ISOLATED, 1),
  makeRule(table, PREROUTING.name, dropInputFrom(ISOLATED.name)),
];

export const encodeElement = (table: string, change: 'add' | 'remove', name: string): BatchMessage =>
  changeElements(table, ISOLATED.name, change, [nameElement(name)]);

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
      throw tableRefused(this.#table, errnoOf(error) ?? 0, error);
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
    if (failed !== undefined) throw tableRefused(this.#table, failed.errno);
  }
}
