// The filter of vxlan links against a small nf_tables: golden bytes, one transaction a change, what is found, put back, swept.
import { constants, endianness } from 'node:os';
import type { IpAddress } from '@overlayadm/api';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { FilterEntry } from '../../../src/core/linux/filter-entries.ts';
import { encodeElements, encodeFilter, encodeNoFilter, FILTER_RULES, FILTER_SETS } from '../../../src/core/linux/filter-layout.ts';
import { describeChain, describeRule, describeSet } from '../../../src/core/linux/filter-read.ts';
import { KernelFilter } from '../../../src/core/linux/kernel-filter.ts';
import { be32, host, type NetlinkMessage, readText } from '../../../src/core/linux/netlink/message.ts';
import { describeExpression } from '../../../src/core/linux/netlink/nf-expressions.ts';
import { list, NFT, nfgenmsg } from '../../../src/core/linux/netlink/nfnetlink.ts';
import { answerDone, answerError, FakeNetlink } from './fake-netlink.ts';

const hex = (...parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString('hex');
const TABLE = 'overlayadm_s1_kernel';
const entry = (name: string, vnetid: number, ...ips: string[]): FilterEntry => ({
  name,
  family: ips[0]?.includes(':') ? 6 : 4,
  port: 4789,
  vnetid,
  ips: ips as IpAddress[],
});

describe.skipIf(endianness() === 'BE')('golden bytes', () => {
  const table = '01000000190001006f7665726c617961646d5f73315f6b65726e656c00000000';

  test('whatever there is, a table anew: without owner, two chains, five sets, three rules', () => {
    const messages = encodeFilter(TABLE, []).map(({ type, flags, body }) => [type, flags, hex(...body)] as const);
    expect(messages.map(([type, flags]) => [type & 0xff, flags])).toEqual([
      [0, 0x404],
      [2, 0x4],
      [0, 0x604],
      [3, 0x604],
      [3, 0x604],
      ...FILTER_SETS.map(() => [9, 0x604]),
      ...FILTER_RULES.map(() => [6, 0xc04]),
    ]);
    expect(messages[2]?.[2]).toBe(`${table}0800020000000000`);
    expect(messages[4]?.[2]).toBe(`${table}0a000300696e70757400000014000480080001000000000108000200fffffff608000500000000010b00070066696c7465720000`);
  });

  /** As nft 1.0.6 makes them of `typeof udp dport . @th,96,24 . ip daddr`, and so on: read from the kernel. */
  test.each([
    [
      'ours4',
      0x344,
      8,
      '000400000000034600040d000000013e0014000407000000010c0004060000000104020000000126000407000000011e000400000000010400000000020403000000030460000000040418000000',
    ],
    [
      'at4',
      0xd107,
      12,
      '000400000000035c00040d00000001540014000407000000010c0004060000000104020000000126000407000000011e0004000000000104000000000204030000000304600000000404180000000214000407000000010c00040c00000001040c000000',
    ],
    [
      'at6',
      0xd108,
      24,
      '000400000000035c00040d00000001540014000407000000010c0004060000000104020000000126000407000000011e0004000000000104000000000204030000000304600000000404180000000214000407000000010c00040d000000010409000000',
    ],
  ])('key and user data of %s', (name, keyType, keyLength, userData) => {
    const set = FILTER_SETS.find((each) => each.name === name);
    expect([set?.keyType, set?.keyLength, hex(set?.userData ?? new Uint8Array(0))]).toEqual([keyType, keyLength, userData]);
  });

  /** Read off `nft --debug=netlink` 1.0.6: meta l4proto, meta nfproto, port, VNI, address, lookup in `at4`, accept. */
  test('the rule that accepts is, expression by expression, the one that nft makes', () => {
    const ours = host.readAttributes(list(4, FILTER_RULES[1]?.expressions ?? [])).get(4);
    expect(describeRule('input', ours)).toBe(
      [
        'input',
        'meta 1=00000001 2=00000010',
        'cmp 1=00000001 2=00000000 3={1=11}',
        'meta 1=00000001 2=0000000f',
        'cmp 1=00000001 2=00000000 3={1=02}',
        'payload 1=00000001 2=00000002 3=00000002 4=00000002',
        'payload 1=00000009 2=00000002 3=0000000c 4=00000003',
        'payload 1=0000000a 2=00000001 3=00000010 4=00000004',
        'lookup 1=61743400 2=00000001',
        'immediate 1=00000000 2={2={1=00000001}}',
      ].join('; '),
    );
  });

  test('elements: port, VNI and address in words of their own; removed ones first', () => {
    const [remove, add] = encodeElements(TABLE, ['at4 12b5000000006400c0000201'], ['isolated 6f7665726c6179300000000000000000']);
    expect([remove?.type, remove?.flags, hex(...(remove?.body ?? []))]).toEqual([
      NFT.delSetElement,
      0x4,
      `${table}0d00020069736f6c6174656400000000200003801c00018018000180140001006f7665726c6179300000000000000000`,
    ]);
    expect([add?.type, add?.flags, hex(...(add?.body ?? []))]).toEqual([
      NFT.newSetElement,
      0x404,
      `${table}08000200617434001c000380180001801400018010000100${'12b5000000006400c0000201'}`,
    ]);
    expect(encodeNoFilter(TABLE).map(({ type }) => type)).toEqual([NFT.newTable, NFT.delTable]);
  });

  test('a thousand elements and more are several messages', () => {
    const many = Array.from({ length: 2500 }, (_, vni) => `ours4 12b50000${vni.toString(16).padStart(6, '0')}00`);
    const messages = encodeElements(TABLE, many, []);
    expect(messages).toHaveLength(3);
    for (const { body } of messages) expect(hex(...body).length / 2).toBeLessThan(65_536);
  });
});

test('what others have in their tables is read without a throw, and is not ours', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (rubbish) => {
      describeExpression(rubbish);
      describeRule('input', rubbish);
      describeChain(host.readAttributes(rubbish));
      describeSet(host.readAttributes(rubbish));
    }),
  );
  const named = (name: string): Uint8Array => host.attribute(1, Buffer.from(`${name}\0`));
  for (const name of ['constructor', '__proto__', 'toString']) expect(describeExpression(named(name))).toBe(name);
});

/** Keeps what is sent to it by table, as messages; refuses to remove what is not there. Nothing else that the kernel checks. */
class FakeTables {
  readonly io: FakeNetlink;
  refuse = 0;
  generation = 7;
  #tables = new Map<string, { objects: NetlinkMessage[]; elements: Map<string, NetlinkMessage> }>();

  constructor() {
    this.io = new FakeNetlink((messages) => (messages.length > 1 ? this.#transaction(messages) : this.#answer(messages[0] as NetlinkMessage)));
  }

  /** Types of the messages of each transaction, questions left out. */
  get transactions(): number[][] {
    return this.io.sent.filter((messages) => messages.length > 1).map((messages) => messages.slice(1, -1).map(({ type }) => type & 0xff));
  }
  get elements(): string[] {
    return [...(this.#tables.get(TABLE)?.elements.keys() ?? [])].toSorted();
  }
  get exists(): boolean {
    return this.#tables.has(TABLE);
  }
  /** A change by somebody else. */
  change(run: (table: { objects: NetlinkMessage[]; elements: Map<string, NetlinkMessage> }) => void): void {
    const table = this.#tables.get(TABLE);
    if (table !== undefined) run(table);
    this.generation++;
  }
  flush(): void {
    this.#tables.clear();
    this.generation++;
  }

  #transaction(messages: readonly NetlinkMessage[]): Uint8Array[] {
    const inner = messages.slice(1, -1);
    const tables = structuredClone(this.#tables);
    const failed =
      this.refuse > 0
        ? { to: inner[0] as NetlinkMessage, errno: this.refuse }
        : inner.map((to) => ({ to, errno: this.#apply(to) })).find(({ errno }) => errno !== 0);
    if (failed === undefined) {
      this.generation++;
      return inner.map((to) => answerError(to, 0));
    }
    this.#tables = tables;
    return [answerError(failed.to, failed.errno)];
  }

  #apply(message: NetlinkMessage): number {
    const attributes = host.readAttributes(message.body, 4);
    const name = readText(attributes.get(1)) ?? '';
    if (message.type === NFT.newTable) {
      if (!this.#tables.has(name)) this.#tables.set(name, { objects: [], elements: new Map() });
      return 0;
    }
    const table = this.#tables.get(name);
    if (table === undefined) return constants.errno.ENOENT;
    if (message.type === NFT.delTable) this.#tables.delete(name);
    else if (message.type === NFT.newSetElement || message.type === NFT.delSetElement) return this.#changeElements(message, table.elements);
    else table.objects.push(message);
    return 0;
  }

  #changeElements({ type, body }: NetlinkMessage, elements: Map<string, NetlinkMessage>): number {
    const attributes = host.readAttributes(body, 4);
    const set = readText(attributes.get(2));
    for (const [, member] of host.readAttributeList(attributes.get(3))) {
      const key = `${set} ${hex(host.readAttributes(host.readAttributes(member).get(1)).get(1) ?? new Uint8Array(0))}`;
      const one = {
        type,
        flags: 0,
        sequence: 0,
        body: Buffer.concat([
          body.subarray(0, 4),
          host.attribute(1, attributes.get(1) as Uint8Array),
          host.attribute(2, attributes.get(2) as Uint8Array),
          host.nested(3, host.nested(1, member)),
        ]),
      };
      if (type === NFT.newSetElement) elements.set(key, one);
      else if (!elements.delete(key)) return constants.errno.ENOENT;
    }
    return 0;
  }

  #answer(question: NetlinkMessage): Uint8Array[] {
    const reply = (type: number, body: Uint8Array): Uint8Array => host.message(type, 2, question.sequence, body);
    const asked = host.readAttributes(question.body, 4);
    const table = this.#tables.get(readText(asked.get(1)) ?? TABLE);
    if (question.type === NFT.getGeneration) {
      return [reply(NFT.newGeneration, Buffer.concat([nfgenmsg(), host.attribute(1, be32(this.generation))])), answerError(question, 0)];
    }
    if (table === undefined) return [answerError(question, constants.errno.ENOENT)];
    if (question.type === NFT.getTable) return [reply(NFT.newTable, question.body), answerError(question, 0)];
    const type = { [NFT.getChain]: NFT.newChain, [NFT.getSet]: NFT.newSet, [NFT.getRule]: NFT.newRule }[question.type];
    const set = readText(asked.get(2));
    const found = type === undefined ? [...table.elements].filter(([key]) => key.startsWith(`${set} `)).map(([, one]) => one) : table.objects;
    const wanted = found.filter((object) => object.type === (type ?? NFT.newSetElement));
    return [...wanted.map((object) => reply(object.type, object.body)), answerDone(question)];
  }
}

describe('KernelFilter', () => {
  let tables: FakeTables;
  let filter: KernelFilter;
  const WHOLE = [0, 2, 0, 3, 3, 9, 9, 9, 9, 9, 6, 6, 6, 6, 6];
  const A = entry('overlay0', 100, '192.0.2.1');
  const B = entry('overlay1', 101, '2001:db8::1');
  const ofA = ['at4 12b5000000006400c0000201', 'isolated 6f7665726c6179300000000000000000', 'ours4 12b5000000006400'];
  const ofB = ['at6 12b500000000650020010db8000000000000000000000001', 'isolated 6f7665726c6179310000000000000000', 'ours6 12b5000000006500'];
  const both = [...ofA, ...ofB].toSorted();

  beforeEach(() => {
    tables = new FakeTables();
    filter = new KernelFilter(tables.io, 's1');
  });

  test('table and first link are one transaction, every further change one of its own', () => {
    filter.remove('overlay0');
    expect(filter.repair()).toBe(false);
    expect(tables.io.sent).toEqual([]);
    filter.set(A);
    filter.set(A);
    filter.set(B);
    expect(tables.elements).toEqual(both);
    filter.remove('overlay0');
    expect(tables.elements).toEqual(ofB);
    expect([filter.has('overlay0'), filter.has('overlay1')]).toEqual([false, true]);
    filter.remove('overlay1');
    expect(tables.exists).toBe(false);
    expect(tables.transactions).toEqual([
      [...WHOLE, 12, 12, 12],
      [12, 12, 12],
      [14, 14, 14],
      [0, 2],
    ]);
  });

  test('an unspecified address guards nothing but the host; another address changes only what differs', () => {
    filter.set(entry('overlay0', 100, '0.0.0.0'));
    expect(tables.elements).toEqual(['isolated 6f7665726c6179300000000000000000']);
    filter.set(entry('overlay0', 100, '0.0.0.0', '192.0.2.1'));
    expect(tables.elements).toEqual(['isolated 6f7665726c6179300000000000000000']);
    const undo = filter.set(A);
    expect(tables.elements).toEqual(ofA);
    undo();
    expect(tables.elements).toEqual(['isolated 6f7665726c6179300000000000000000']);
    expect(filter.repair()).toBe(false);
  });

  test('nothing changed: one question; somebody changed something else: looked at, and then one question again', () => {
    filter.set(A);
    const questions = (): number => {
      const before = tables.io.sent.length;
      expect(filter.repair()).toBe(false);
      return tables.io.sent.length - before;
    };
    expect(questions()).toBe(1);
    filter.set(B);
    expect(questions()).toBe(1);
    tables.change(() => undefined);
    expect(questions()).toBeGreaterThan(5);
    expect(questions()).toBe(1);
  });

  test.each<readonly [string, (tables: FakeTables) => void]>([
    ['flush', (all) => all.flush()],
    ['an element', (all) => all.change(({ elements }) => elements.delete(ofA[0] ?? ''))],
    ['a rule', (all) => all.change(({ objects }) => objects.pop())],
    ['the order of rules', (all) => all.change(({ objects }) => objects.splice(-2, 2, ...objects.slice(-2).toReversed()))],
    ['a chain', (all) => all.change(({ objects }) => objects.splice(0, 1))],
    ['a set', (all) => all.change(({ objects }) => objects.splice(2, 1))],
  ])('%s gone: put back in one transaction', (_what, change) => {
    filter.set(A);
    filter.set(B);
    change(tables);
    expect(filter.repair()).toBe(true);
    expect(tables.elements).toEqual(both);
    expect(tables.transactions.at(-1)).toEqual([...WHOLE, 12, 12, 12, 12, 12]);
    expect(filter.repair()).toBe(false);
  });

  test('a change of ours between two of others does not hide theirs', () => {
    filter.set(A);
    tables.change(({ elements }) => elements.delete(ofA[0] ?? ''));
    filter.set(B);
    expect(filter.repair()).toBe(true);
    expect(tables.elements).toEqual(both);
  });

  test('what cannot be removed any more makes all of it anew', () => {
    filter.set(A);
    filter.set(B);
    tables.change(({ elements }) => elements.delete(ofA[0] ?? ''));
    filter.remove('overlay0');
    expect(tables.elements).toEqual(ofB);
    expect(filter.repair()).toBe(false);
  });

  test('refused, nothing has changed, and the next try can do it', () => {
    filter.set(A);
    tables.refuse = constants.errno.ENOMEM;
    expect(() => filter.set(B)).toThrow(expect.objectContaining({ code: 'NETLINK_REFUSED' }));
    expect(() => filter.remove('overlay0')).toThrow();
    tables.flush();
    expect(() => filter.repair()).toThrow(expect.objectContaining({ code: 'NETLINK_REFUSED' }));
    tables.refuse = 0;
    expect([filter.has('overlay0'), filter.has('overlay1'), filter.repair()]).toEqual([true, false, true]);
    expect(tables.elements).toEqual(ofA);
  });

  describe('of an overlayd before us', () => {
    beforeEach(() => {
      filter.set(A);
      filter.set(B);
      filter.close();
      expect(tables.elements).toEqual(both);
      filter = new KernelFilter(tables.io, 's1');
    });

    test('adopted as it is, without a transaction; the rest goes with the sweep', () => {
      const before = tables.transactions.length;
      const undo = filter.set(A);
      undo();
      filter.set(A);
      expect(tables.transactions).toHaveLength(before);
      expect(filter.repair()).toBe(false);
      filter.sweep();
      expect(tables.elements).toEqual(ofA);
      filter.sweep();
    });

    test('an address that it had earlier goes at once, others stay', () => {
      filter.set(entry('overlay0', 100, '192.0.2.9'));
      expect(tables.elements).toEqual([...ofB, 'at4 12b5000000006400c0000209', ...ofA.slice(1)].toSorted());
    });

    test('all of it goes when nobody asks for any', () => {
      filter.sweep();
      expect(tables.exists).toBe(false);
    });

    test.each([[true], [false]])('wrong: made anew with its elements, in one transaction (elements left: %s)', (left) => {
      tables.change(({ objects, elements }) => {
        objects.pop();
        if (!left) elements.clear();
      });
      const before = tables.transactions.length;
      filter.set(A);
      expect(tables.elements).toEqual(left ? both : ofA);
      expect(tables.transactions).toHaveLength(before + 1);
      expect(filter.repair()).toBe(false);
    });

    test('wrong and of nobody: it goes', () => {
      tables.change(({ objects, elements }) => [objects.pop(), elements.clear()]);
      filter.sweep();
      expect(tables.exists).toBe(false);
    });
  });

  test('a kernel without nf_tables: said with the first link, nothing to sweep', () => {
    const { EINVAL, EPROTONOSUPPORT } = constants.errno;
    const io = new FakeNetlink((messages) => messages.map((to) => answerError(to, EINVAL)));
    const without = new KernelFilter(io, 's1');
    expect(() => without.set(A)).toThrow(expect.objectContaining({ code: 'NFTABLES_MISSING' }));
    without.sweep();
    expect(io.closed).toEqual([42, 42]);
    io.openNetlink = () => {
      throw Object.assign(new Error('socket'), { code: 'EPROTONOSUPPORT', errno: EPROTONOSUPPORT, syscall: 'socket' });
    };
    expect(() => without.set(A)).toThrow(expect.objectContaining({ code: 'NFTABLES_MISSING' }));
  });
});
