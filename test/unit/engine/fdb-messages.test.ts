// Rows as netlink messages: golden bytes of a kernel and of bridge(8), sequence numbers, and a reader that is total. Little-endian machines only for golden bytes.
import { endianness } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dumpRequest, newRowView, type RowDestination, RowMessages, RowReader, type RowView } from '../../../src/core/engine/fdb-messages.ts';

/** Notifications of Linux 6.18, each for one row of link 4. */
const ADDED =
  '4c0000001c00000000000000000000000700000004000000800012010a000200020000000002000008000100c00002020600060012b600001400030000000000000000000000000000000000';
const REPLACED =
  '440000001c00000000000000000000000700000004000000800012010a000200020000000002000008000100c000020314000300000000003c0000000000000000000000';
const DELETED =
  '440000001d00000000000000000000000700000004000000800002010a000200020000000002000008000100c00002031400030000000000080100006600000000000000';

const bytesOf = (...hex: readonly string[]): Uint8Array => Uint8Array.from(Buffer.from(hex.join('').replaceAll(' ', ''), 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const addressOf = ({ address }: RowView): string => hexOf(new Uint8Array(address.buffer));

function destination(ip: string, port: number): RowDestination {
  const address = new Uint32Array(12).fill(0xffff_ffff);
  const ipBytes = bytesOf(ip);
  new Uint8Array(address.buffer).set(ipBytes, 16);
  return { family: ipBytes.length === 4 ? 4 : 6, port, address, at: 4 };
}

/** Every message in `bytes`, copied; more steps than there can be messages are an error. */
function readAll(bytes: Uint8Array, behind = 0): RowView[] {
  const reader = new RowReader(bytes.length + 64);
  reader.bytes.fill(behind);
  reader.bytes.set(bytes);
  const view = newRowView();
  const found: RowView[] = [];
  for (let at = 0; reader.read(at, bytes.length, view); at = view.next) {
    expect(view.next).toBeGreaterThan(at);
    found.push({ ...view, address: view.address.slice() });
  }
  return found;
}

const V6 = '20010db8000000000000000000000009';
const HIGH = 0x0200;
const LOW = 0x0000_0002;

describe.skipIf(endianness() === 'BE')('golden bytes', () => {
  it('of a kernel that tells of a row: link, MAC, destination, mark, and how long it is unused', () => {
    const common = { sequence: 0, errno: 0, interrupted: false, link: 4, high: HIGH, low: LOW, family: 4 };
    expect(readAll(bytesOf(ADDED))).toMatchObject([{ ...common, kind: 'row', ours: true, port: 4790, unusedMs: 0, next: 76 }]);
    expect(readAll(bytesOf(REPLACED))).toMatchObject([{ ...common, kind: 'row', ours: true, port: 0, unusedMs: 600 }]);
    expect(readAll(bytesOf(DELETED))).toMatchObject([{ ...common, kind: 'gone', ours: false, port: 0, unusedMs: 2640 }]);
    const all = readAll(bytesOf(ADDED, REPLACED, DELETED));
    expect(all.map((view) => [view.kind, addressOf(view)])).toEqual([
      ['row', `c0000202${'00'.repeat(12)}`],
      ['row', `c0000203${'00'.repeat(12)}`],
      ['gone', `c0000203${'00'.repeat(12)}`],
    ]);
  });

  it('of a row over IPv6, of one that leads nowhere, and of a MAC with the highest bit of its low half', () => {
    const mac = '0a000200fe00ff00000a0000';
    const [six, none] = readAll(
      bytesOf(
        '3c0000001c0002000700000000000000 07000000 04000000 8000 12 01',
        mac,
        `14000100${V6}`,
        '28000000 1c00 0000 0700000000000000 07000000 04000000 8000 02 01',
        mac,
      ),
    );
    expect(six).toMatchObject({
      kind: 'row',
      family: 6,
      port: 0,
      sequence: 7,
      high: 0xfe00,
      low: 0xff00_000a | 0,
      unusedMs: Number.POSITIVE_INFINITY,
    });
    expect(addressOf(six as RowView)).toBe(V6);
    expect(none).toMatchObject({ kind: 'row', family: 0, ours: false });
    expect(addressOf(none as RowView)).toBe('00'.repeat(16));
  });

  it('of the answers to requests: a refusal names its message, an acknowledgement has no error, a table ends', () => {
    const refused = '24000000 0200 0000 05000000 00000000 e4ffffff'.concat('00'.repeat(16));
    const fine = '24000000 0200 0000 06000000 00000000 00000000'.concat('00'.repeat(16));
    const done = '14000000 0300 1200 07000000 00000000 00000000';
    const views = readAll(bytesOf(refused, fine, done));
    expect(views).toMatchObject([
      { kind: 'refused', sequence: 5, errno: 28, interrupted: false },
      { kind: 'refused', sequence: 6 },
      { kind: 'done', sequence: 7, interrupted: true },
    ]);
    expect(views[1]?.errno === 0).toBe(true);
  });

  it('of no row of a vxlan link: of another family, without MAC, and of a type nobody knows', () => {
    const mac = '0a000200020000000002 0000';
    expect(readAll(bytesOf('28000000 1c00 0000 0000000000000000 02000000 04000000 8000 12 01', mac))).toMatchObject([{ kind: 'other' }]);
    expect(readAll(bytesOf('24000000 1c00 0000 0000000000000000 07000000 04000000 8000 12 01', '08000100c0000202'))).toMatchObject([
      { kind: 'other' },
    ]);
    expect(readAll(bytesOf('28000000 1000 0000 0000000000000000 07000000 04000000 8000 12 01', mac))).toMatchObject([{ kind: 'other' }]);
  });

  it.each([
    // bridge fdb replace 02:00:00:00:00:02 dev L dst 192.0.2.2 port 4790 self permanent extern_learn
    ['replace', 'c0000202', 4790, '44000000 1c00 0105 09000000', '8000 12 00', '0a000200020000000002 0000 08000100c0000202 0600060012b60000'],
    ['replace', 'c0000202', 0, '30000000 1c00 0105 09000000', '8000 12 00', '0a000200020000000002 0000 08000100c0000202'],
    ['replace', V6, 4790, '44000000 1c00 0105 09000000', '8000 12 00', `0a000200020000000002 0000 14000100${V6} 0600060012b60000`],
    // bridge fdb append ...
    ['append', '7f000001', 47890, '38000000 1c00 010c 09000000', '8000 12 00', '0a000200020000000002 0000 080001007f000001 06000600bb120000'],
    // bridge fdb del ...: a row, or one of its destinations
    ['remove', 'c0000202', 4790, '28000000 1d00 0100 09000000', '8000 12 00', '0a000200020000000002 0000'],
    ['removeOne', 'c0000202', 4790, '38000000 1d00 0100 09000000', '8000 12 00', '0a000200020000000002 0000 08000100c0000202 0600060012b60000'],
  ] as const)('of a request to %s %s port %i', (change, ip, port, head, rest, attributes) => {
    const messages = new RowMessages(2, 9);
    messages.add(change, 4, HIGH, LOW, destination(ip, port));
    const expected = bytesOf(head, '00000000', '07000000 04000000', rest, attributes);
    // The length in the head is that of what follows.
    expected[0] = expected.length;
    expect(hexOf(messages.bytes)).toBe(hexOf(expected));
  });

  it('of a request for the table of a link: struct ifinfomsg of PF_BRIDGE', () => {
    expect(hexOf(dumpRequest(4, 0x0102_0304))).toBe('20000000 1e00 0103 04030201 00000000 07000000 04000000 00000000 00000000'.replaceAll(' ', ''));
  });

  it('of a request have nothing in them of what was written there before', () => {
    const messages = new RowMessages(1);
    messages.add('replace', 4, 0xffff, -1, destination(V6, 0xffff));
    messages.clear();
    messages.add('remove', 4, HIGH, LOW, undefined);
    expect(hexOf(messages.bytes)).toBe('280000001d00010001000000000000000700000004000000800012000a0002000200000000020000');
  });
});

describe('requests', () => {
  it('are read as what was asked for', () => {
    const low = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const row = fc.record({
      high: fc.nat({ max: 0xffff }),
      low,
      port: fc.nat({ max: 0xffff }),
      v6: fc.boolean(),
      ip: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    });
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 40 }), fc.nat({ max: 2 ** 31 - 1 }), (rows, link) => {
        const messages = new RowMessages(40);
        for (const { high, low: half, port, v6, ip } of rows)
          messages.add('replace', link, high, half, destination(hexOf(v6 ? ip : ip.subarray(0, 4)), port));
        const views = readAll(messages.bytes);
        expect(views.map(({ kind, link: to, ours, high, low: half, port, family }) => [kind, to, ours, high, half, port, family])).toEqual(
          rows.map(({ high, low: half, port, v6 }) => ['row', link, true, high, half, port, v6 ? 6 : 4]),
        );
        expect(views.map((view) => addressOf(view))).toEqual(rows.map(({ v6, ip }) => (v6 ? hexOf(ip) : hexOf(ip.subarray(0, 4)) + '00'.repeat(12))));
      }),
      { seed: 20_101_120 },
    );
  });

  it('have numbers of their own, from one send to the next and over the end of the numbers', () => {
    const messages = new RowMessages(3, 0xffff_fffd);
    const add = (count: number): void => {
      for (let i = 0; i < count; i++) messages.add('remove', 4, HIGH, i, undefined);
    };
    const numbers = (): number[] => readAll(messages.bytes).map(({ sequence }) => sequence);
    add(2);
    expect([numbers(), messages.count]).toEqual([[0xffff_fffd, 0xffff_fffe], 2]);
    expect([0xffff_fffc, 0xffff_fffd, 0xffff_fffe, 0xffff_ffff, 0].map((number) => messages.indexOf(number))).toEqual([-1, 0, 1, -1, -1]);
    messages.clear();
    expect([messages.count, messages.bytes.length, messages.indexOf(0xffff_ffff)]).toEqual([0, 0, -1]);
    add(3);
    expect(numbers()).toEqual([0xffff_ffff, 0, 1]);
    expect([0xffff_fffe, 0xffff_ffff, 0, 1, 2].map((number) => messages.indexOf(number))).toEqual([-1, 0, 1, 2, -1]);
    messages.clear();
    add(1);
    expect([numbers(), messages.indexOf(1), messages.indexOf(2)]).toEqual([[2], -1, 0]);
  });

  it('are as many as there was said to be room for, each of the longest kind', () => {
    const messages = new RowMessages(50);
    for (let i = 0; i < 50; i++) messages.add('append', 4, HIGH, i, destination(V6, 4789));
    expect(readAll(messages.bytes).map(({ low }) => low)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });
});

/** Of lengths that lie, in messages and attributes that are almost right. */
const anyMessage = fc
  .tuple(
    fc.constantFrom(ADDED, REPLACED, DELETED),
    fc.array(fc.record({ at: fc.nat({ max: 75 }), value: fc.constantFrom(0, 1, 3, 4, 5, 6, 7, 16, 0x1c, 0x80, 0xff) }), { maxLength: 4 }),
    fc.nat({ max: 75 }),
  )
  .map(([hex, changes, cut]) => {
    const bytes = bytesOf(hex);
    for (const { at, value } of changes) if (at < bytes.length) bytes[at] = value;
    return bytes.subarray(0, cut > 60 ? bytes.length : cut);
  });
const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.array(anyMessage, { maxLength: 4 }).map((parts) => Uint8Array.from(Buffer.concat(parts))),
);

describe('the reader', () => {
  it('comes to an end with any bytes, and takes nothing from behind them', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const views = readAll(bytes, 0);
        expect(views.length).toBeLessThanOrEqual(bytes.length / 16);
        expect(readAll(bytes, 0xff)).toEqual(views);
        expect(readAll(bytes, 0x04)).toEqual(views);
      }),
      { seed: 20_101_120, numRuns: 2000 },
    );
  });

  it('says nothing of a message before in the one after', () => {
    const sparse = bytesOf('28000000 1c00 0000 0000000000000000 07000000 04000000 8000 02 01 0a000200020000000002 0000');
    const [, alone] = readAll(Uint8Array.from([...bytesOf(ADDED), ...sparse]));
    const [fresh] = readAll(sparse);
    expect({ ...alone, next: 0 }).toEqual({ ...fresh, next: 0 });
  });
});
