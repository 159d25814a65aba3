// Reads the table that guards vxlan links back from the kernel: is it as filter-layout.ts has it, and which elements are in it.
import { constants } from 'node:os';
import { refusedErrno } from './errors.ts';
import { type Element, elementOf, FILTER_CHAINS, FILTER_RULES, FILTER_SETS } from './filter-layout.ts';
import { type Attributes, host, type NetlinkMessage, readBe32, readText } from './netlink/message.ts';
import { describeExpression } from './netlink/nf-expressions.ts';
import {
  list,
  NF,
  NFT,
  NFT_CHAIN_BASE,
  NFTA_CHAIN,
  NFTA_DATA,
  NFTA_ELEMENTS,
  NFTA_GENERATION_ID,
  NFTA_HOOK,
  NFTA_RULE,
  NFTA_SET,
  NFTA_SET_ELEMENT_KEY,
  NFTA_TABLE,
  nfgenmsg,
} from './netlink/nfnetlink.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import { named } from './nft-messages.ts';

export interface FilterContents {
  /** Flags, chains, sets and rules are as they have to be, and no more of them. */
  readonly right: boolean;
  /** Of sets that are as they have to be; with one that is no key of its set when there is any such. */
  readonly elements: ReadonlySet<Element>;
}

/** struct nfgenmsg is in front of the attributes. */
const NFGENMSG_BYTES = 4;
const attributesOf = (message: NetlinkMessage): Attributes => host.readAttributes(message.body, NFGENMSG_BYTES);

/** Undefined where there is no such thing. */
function unlessMissing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (refusedErrno(error) === constants.errno.ENOENT) return undefined;
    throw error;
  }
}

/** Number of the last change of anything in nf_tables of this network namespace; undefined when the kernel does not say. */
export function readGeneration(socket: NetlinkSocket): number | undefined {
  const answers = socket.request({ subject: 'nftables', action: 'be asked for their generation' }, NFT.getGeneration, 0, nfgenmsg());
  const answer = answers.find(({ type }) => type === NFT.newGeneration);
  return answer === undefined ? undefined : readBe32(attributesOf(answer).get(NFTA_GENERATION_ID));
}

class TableReader {
  readonly #socket: NetlinkSocket;
  readonly #table: string;

  constructor(socket: NetlinkSocket, table: string) {
    this.#socket = socket;
    this.#table = table;
  }

  /** Its flags; undefined when there is no such table. */
  flags(): number | undefined {
    const answers = unlessMissing(() => this.#socket.request(this.#purpose(), NFT.getTable, 0, nfgenmsg(), named(NFTA_TABLE.name, this.#table)));
    const table = answers?.find(({ type }) => type === NFT.newTable);
    return table === undefined ? undefined : (readBe32(attributesOf(table).get(NFTA_TABLE.flags)) ?? 0);
  }

  chains(): string[] {
    // Not every kernel can be asked for those of one table.
    return this.#dump(NFT.getChain, NFT.newChain, NFTA_CHAIN.table).map(describeChain);
  }

  rules(): string[] {
    return this.#dump(NFT.getRule, NFT.newRule, NFTA_RULE.table, named(NFTA_RULE.table, this.#table)).map((rule) =>
      describeRule(readText(rule.get(NFTA_RULE.chain)) ?? '', rule.get(NFTA_RULE.expressions)),
    );
  }

  sets(): string[] {
    return this.#dump(NFT.getSet, NFT.newSet, NFTA_SET.table, named(NFTA_SET.table, this.#table)).map(describeSet);
  }

  elements(set: string): Element[] {
    const place = [named(NFTA_ELEMENTS.table, this.#table), named(NFTA_ELEMENTS.set, set)];
    const answers = unlessMissing(() => this.#socket.dump(this.#purpose(), NFT.getSetElement, nfgenmsg(), ...place)) ?? [];
    const lists = answers.filter(({ type }) => type === NFT.newSetElement).map((answer) => attributesOf(answer).get(NFTA_ELEMENTS.elements));
    return lists.flatMap((members) => host.readAttributeList(members)).map(([, member]) => elementOf(set, readKey(member)));
  }

  /** Those of our table, whatever else was answered. */
  #dump(ask: number, answer: number, tableAttribute: number, ...attributes: Uint8Array[]): Attributes[] {
    const messages = unlessMissing(() => this.#socket.dump(this.#purpose(), ask, nfgenmsg(), ...attributes)) ?? [];
    const objects = messages.filter(({ type }) => type === answer).map(attributesOf);
    return objects.filter((object) => readText(object.get(tableAttribute)) === this.#table);
  }

  #purpose() {
    return { subject: `nftables table ${this.#table}`, action: 'be read' };
  }
}

/** Empty for an element without one (`*` stands for all keys), and for what cannot be read. */
function readKey(member: Uint8Array): Uint8Array {
  const key = host.readAttributes(member).get(NFTA_SET_ELEMENT_KEY);
  return host.readAttributes(key).get(NFTA_DATA.value) ?? new Uint8Array(0);
}

const signed = (value: number | undefined): number | undefined => (value === undefined ? undefined : value | 0);

const chainText = (name: string, hook: number | undefined, priority: number | undefined, more: readonly unknown[]): string =>
  [name, hook, priority, ...more].join(' ');
const EXPECTED_CHAINS = FILTER_CHAINS.map(({ name, hook, priority }) => chainText(name, hook, priority, [NF.accept, 'filter', NFT_CHAIN_BASE]));

export function describeChain(chain: Attributes): string {
  const hook = host.readAttributes(chain.get(NFTA_CHAIN.hook));
  const place = [readBe32(hook.get(NFTA_HOOK.number)), signed(readBe32(hook.get(NFTA_HOOK.priority)))] as const;
  const policy = readBe32(chain.get(NFTA_CHAIN.policy));
  // Kernels before 5.8 do not say the flags.
  const flags = readBe32(chain.get(NFTA_CHAIN.flags)) ?? NFT_CHAIN_BASE;
  return chainText(readText(chain.get(NFTA_CHAIN.name)) ?? '', ...place, [policy, readText(chain.get(NFTA_CHAIN.type)), flags]);
}

const setText = (name: string, keyLength: number | undefined, flags: number): string => `${name} ${keyLength} ${flags}`;
const EXPECTED_SETS = FILTER_SETS.map(({ name, keyLength }) => setText(name, keyLength, 0));

export const describeSet = (set: Attributes): string =>
  setText(readText(set.get(NFTA_SET.name)) ?? '', readBe32(set.get(NFTA_SET.keyLength)), readBe32(set.get(NFTA_SET.flags)) ?? 0);

export const describeRule = (chain: string, expressions: Uint8Array | undefined): string =>
  [chain, ...host.readAttributeList(expressions).map(([, member]) => describeExpression(member))].join('; ');

const EXPECTED_RULES = FILTER_RULES.map(({ chain, expressions }) =>
  describeRule(chain, host.readAttributes(list(NFTA_RULE.expressions, expressions)).get(NFTA_RULE.expressions)),
);

/** Order counts only where it does in the kernel, among the rules of a chain. */
const sameSet = (a: readonly string[], b: readonly string[]): boolean => a.toSorted().join('\n') === b.toSorted().join('\n');
const sameRules = (rules: readonly string[]): boolean =>
  rules.length === EXPECTED_RULES.length &&
  FILTER_CHAINS.every(({ name }) => {
    const of = (all: readonly string[]): string => all.filter((rule) => rule.startsWith(`${name};`)).join('\n');
    return of(rules) === of(EXPECTED_RULES);
  });

/** Undefined when there is no such table. @throws OverlayError when the kernel does not answer or refuses. */
export function readFilter(socket: NetlinkSocket, table: string): FilterContents | undefined {
  const reader = new TableReader(socket, table);
  const flags = reader.flags();
  if (flags === undefined) return undefined;
  const sets = reader.sets();
  const readable = FILTER_SETS.filter((_, at) => sets.includes(EXPECTED_SETS[at] ?? ''));
  return {
    right: flags === 0 && sameSet(reader.chains(), EXPECTED_CHAINS) && sameSet(sets, EXPECTED_SETS) && sameRules(reader.rules()),
    elements: new Set(readable.flatMap(({ name }) => reader.elements(name))),
  };
}
