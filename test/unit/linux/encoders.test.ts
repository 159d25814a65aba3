// Requests to the kernel as golden bytes, and answers of the kernel read back. Little-endian machines only: big-endian ones differ in host order.
import { endianness } from 'node:os';
import { parseMac } from '@overlayadm/api';
import { describe, expect, test } from 'vitest';
import { encodeChanges, encodeMacvlan, readLink, readStatistics } from '../../../src/core/linux/links.ts';
import { cString, host } from '../../../src/core/linux/netlink/message.ts';
import { ifinfomsg } from '../../../src/core/linux/netlink/rtnetlink.ts';
import { encodeBatch } from '../../../src/core/linux/nft-messages.ts';
import { encodeElement, encodeTable } from '../../../src/core/linux/nftables.ts';

const hex = (...parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString('hex');
const mac = parseMac('2:8:20:0:0:1');
if (mac === undefined) throw new Error('no MAC address');

describe.skipIf(endianness() === 'BE')('rtnetlink', () => {
  test('a macvlan: ifinfomsg up, name, lower link, MAC, MTU, namespace, kind and mode bridge', () => {
    expect(hex(...encodeMacvlan({ name: 'vnic0', lowerIndex: 7, mac, mtu: 1400, netnsFd: 9 }))).toBe(
      `${'00000000000000000100000001000000'}${'0a000300766e696330000000'}${'0800050007000000'}${'0a0001000208200000010000'}` +
        `${'0800040078050000'}${'08001c0009000000'}${'1c0012800c0001006d6163766c616e000c0002800800010004000000'}`,
    );
  });

  test('without a namespace there is no namespace in it', () => {
    expect(hex(...encodeMacvlan({ name: 'vnic0', lowerIndex: 7, mac, mtu: 1400 }))).not.toContain('08001c00');
  });

  test('changes: only what is given', () => {
    expect(encodeChanges({ up: true, noarp: true })).toEqual([]);
    expect(hex(...encodeChanges({ mtu: 1400, txQueueLength: 5000, alias: 'overlayadm:s1:overlay0', ip6AddrGenNone: true }))).toBe(
      `${'0800040078050000'}${'08000d0088130000'}${'1b0014006f7665726c617961646d3a73313a6f7665726c61793000'}00` +
        `${'10001a800c000a800500080001000000'}`,
    );
  });
});

describe.skipIf(endianness() === 'BE')('nf_tables', () => {
  const table = '01000000120001006f7665726c617961646d5f7331000000';

  test('table, chain, set and rule', () => {
    expect(encodeTable('overlayadm_s1').map((message) => [message.type, message.flags, hex(...message.body)])).toEqual([
      [0xa00, 0x604, `${table}${'0800020000000002'}`],
      [0xa03, 0x604, `${table}0f000300707265726f7574696e67000014000480080001000000000008000200fffffed408000500000000010b00070066696c7465720000`],
      [0xa09, 0x604, `${table}0d00020069736f6c61746564000000000800040000000029080005000000001008000a00000000010a000d000004010000000000`],
      [
        0xa06,
        0xc04,
        `${table}0f000200707265726f7574696e6700009800048024000180090001006d6574610000000014000280080002000000000608000100000000012c00` +
          '01800b0001006c6f6f6b757000001c0002800d00010069736f6c61746564000000000800020000000001140001800c000100636f756e7465720004000280' +
          '300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000000',
      ],
    ]);
  });

  test('an element is the name in 16 bytes, padded with zeros', () => {
    const element = `${table}0d00020069736f6c6174656400000000200003801c00018018000180140001006f7665726c6179300000000000000000`;
    const add = encodeElement('overlayadm_s1', 'add', 'overlay0');
    expect([add.type, add.flags, hex(...add.body)]).toEqual([0xa0c, 0x404, element]);
    const remove = encodeElement('overlayadm_s1', 'remove', 'overlay0');
    expect([remove.type, remove.flags, hex(...remove.body)]).toEqual([0xa0e, 0x4, element]);
  });

  test('a batch stands between the marks of a transaction', () => {
    expect(encodeBatch([]).map((message) => [message.type, hex(...message.body)])).toEqual([
      [0x10, '0000000a'],
      [0x11, '0000000a'],
    ]);
  });
});

describe('a link as the kernel shows it', () => {
  const message = (...attributes: Uint8Array[]) => ({
    type: 16,
    flags: 0,
    sequence: 1,
    body: Buffer.concat([ifinfomsg({ index: 5, flags: 0x1_0081 }), ...attributes]),
  });
  const name = host.attribute(3, cString('overlay0'));

  test('flags, names, marks', () => {
    const alias = host.attribute(20, cString('overlayadm:s1:overlay0'));
    const link = readLink(message(name, alias, host.attribute(4, host.u32(1400)), host.nested(18, host.attribute(1, cString('tun')))), 's1');
    expect(link).toMatchObject({
      name: 'overlay0',
      index: 5,
      mtu: 1400,
      up: true,
      carrier: true,
      noarp: true,
      loopback: false,
      kind: 'tun',
      ours: true,
    });
    expect(readLink(message(name, alias), 's2')).toMatchObject({ mark: { stateId: 's1', name: 'overlay0' }, ours: false });
    expect(readLink(message(name), 's1')).toMatchObject({ mark: undefined, ours: false, kind: undefined, lowerIndex: undefined });
  });

  test('the port of a vxlan link is in network order, its vni in host order', () => {
    const data = host.nested(
      2,
      host.attribute(1, host.u32(100)),
      host.attribute(15, Uint8Array.of(0x12, 0xb5)),
      host.attribute(4, Uint8Array.of(192, 0, 2, 1)),
    );
    const link = readLink(message(name, host.nested(18, host.attribute(1, cString('vxlan')), data)), 's1');
    expect(link?.vxlan).toEqual({
      port: 4789,
      vnetid: 100,
      local: '192.0.2.1',
      family: 4,
      external: false,
      learning: false,
      localBypass: undefined,
      df: false,
    });
  });

  test('statistics are numbers of 64 bits, whole or none', () => {
    const numbers = [1n, 2n, 3n, 2n ** 64n - 1n, ...Array.from({ length: 15 }, (_, i) => BigInt(i + 5))];
    const bytes = Buffer.concat(numbers.flatMap((number) => [host.u32(Number(number & 0xffff_ffffn)), host.u32(Number(number >> 32n))]));
    const statistics = {
      rxFrames: 1n,
      txFrames: 2n,
      rxBytes: 3n,
      txBytes: 2n ** 64n - 1n,
      rxErrors: 5n,
      txErrors: 6n,
      rxDropped: 7n,
      txDropped: 8n,
      txAborted: 17n,
      txCarrier: 18n,
    };
    if (endianness() === 'LE') expect(readStatistics(message(host.attribute(23, bytes)))).toEqual(statistics);
    for (let length = 0; length < 144; length++) expect(readStatistics(message(host.attribute(23, bytes.subarray(0, length))))).toBeUndefined();
    expect(readStatistics(message(name))).toBeUndefined();
    expect(readStatistics({ ...message(host.attribute(23, bytes)), type: 17 })).toBeUndefined();
  });

  test('other messages and cut ones are no links', () => {
    expect(readLink({ ...message(name), type: 17 }, 's1')).toBeUndefined();
    expect(readLink(message(), 's1')).toBeUndefined();
    for (let length = 0; length < 16; length++) {
      expect(readLink({ ...message(name), body: message(name).body.subarray(0, length) }, 's1')).toBeUndefined();
    }
  });
});
