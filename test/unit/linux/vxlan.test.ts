// Vxlan links as golden bytes and read back, rows of their forwarding table, what refusals mean. Little-endian machines only for golden bytes.
import { constants, endianness } from 'node:os';
import { type IpAddress, type MacAddress, OverlayError } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFdbDump, readFdbRow } from '../../../src/core/linux/fdb.ts';
import { KernelFilter } from '../../../src/core/linux/kernel-filter.ts';
import { concat, cString, host, type NetlinkMessage, NLM_F } from '../../../src/core/linux/netlink/message.ts';
import { ifinfomsg, RTM } from '../../../src/core/linux/netlink/rtnetlink.ts';
import { NetlinkSocket } from '../../../src/core/linux/netlink/socket.ts';
import type { LinkInfo, VxlanInfo, VxlanSpec } from '../../../src/core/linux/types.ts';
import { encodeVxlan, encodeVxlanLocal, vxlanOf } from '../../../src/core/linux/vxlan.ts';
import { VxlanLinks } from '../../../src/core/linux/vxlan-links.ts';
import { differencesOf } from '../../../src/core/linux/vxlan-refusals.ts';
import { answerDone, answerError, FakeNetlink } from './fake-netlink.ts';

const hex = (...parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString('hex');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const SPEC: VxlanSpec = { name: 'overlay0', vnetid: 100, listenIp: '192.0.2.1' as IpAddress, port: 4789, mtu: 1400 };
const v6 = (listenIp: string): VxlanSpec => ({ ...SPEC, listenIp: listenIp as IpAddress });

describe.skipIf(endianness() === 'BE')('golden bytes', () => {
  const head = '00000000000000000000000000000000' + '0d0003006f7665726c61793000000000' + '0800040078050000';
  /** Port, port range, no learning, no bypass, DF, no reserved bit. */
  const rest = '06000f0012b50000' + '08000a00c000ffff' + '0500070000000000' + '05001f0000000000' + '05001d0001000000' + '0c0021000000000000000000';
  const kind = '0a00010076786c616e000000';

  test('a link: down, name, MTU, vxlan attributes', () => {
    expect(hex(...encodeVxlan(SPEC))).toBe(`${head}${'58001280'}${kind}${'48000280'}${'0800010064000000'}${'08000400c0000201'}${rest}`);
    const mac = '02:08:20:00:00:01' as MacAddress;
    expect(hex(...encodeVxlan({ ...SPEC, mac }))).toContain(`${head}${'0a0001000208200000010000'}58001280`);
  });

  test.each([
    ['2001:db8::1', '1400110020010db8000000000000000000000001'],
    ['::', '1400110000000000000000000000000000000000'],
    ['0.0.0.0', '0800040000000000'],
  ])('%s says the family', (listenIp, attribute) => {
    expect(hex(...encodeVxlan(v6(listenIp)))).toContain(`0800010064000000${attribute}${rest}`);
  });

  test('another address: nothing but that', () => {
    expect(hex(...encodeVxlanLocal(7, '192.0.2.9' as IpAddress))).toBe(
      `${'00000000070000000000000000000000'}${'1c001280'}${kind}${'0c000280'}${'08000400c0000209'}`,
    );
  });

  test('the dump of a forwarding table: struct ifinfomsg of PF_BRIDGE', () => {
    expect(hex(encodeFdbDump(7))).toBe('07000000070000000000000000000000');
  });
});

describe('attributes of a link', () => {
  const read = (...attributes: Uint8Array[]): VxlanInfo => vxlanOf(host.readAttributes(concat(attributes)));
  const flag = (type: number, value: number): Uint8Array => host.attribute(type, Uint8Array.of(value));

  test('as the kernel shows ours', () => {
    const shown = [
      host.attribute(1, host.u32(100)),
      host.attribute(15, Uint8Array.of(0x12, 0xb5)),
      flag(7, 0),
      flag(25, 0),
      flag(29, 1),
      flag(31, 0),
    ];
    const facts = { port: 4789, vnetid: 100, external: false, learning: false, localBypass: false, df: true };
    expect(read(...shown, host.attribute(4, Uint8Array.of(192, 0, 2, 1)))).toEqual({ ...facts, local: '192.0.2.1', family: 4 });
    expect(read(...shown, host.attribute(17, bytes('20010db8000000000000000000000001')))).toEqual({ ...facts, local: '2001:db8::1', family: 6 });
    expect(read(...shown)).toEqual({ ...facts, local: undefined, family: undefined });
    expect(read(...shown, host.attribute(4, new Uint8Array(4)))).toMatchObject({ local: undefined, family: undefined });
  });

  test('an old kernel, another one, and rubbish', () => {
    expect(read()).toEqual({
      port: 0,
      vnetid: 0,
      local: undefined,
      family: undefined,
      external: false,
      learning: false,
      localBypass: undefined,
      df: false,
    });
    expect(read(flag(7, 1), flag(25, 1), flag(29, 2), flag(31, 1))).toMatchObject({ learning: true, external: true, df: false, localBypass: true });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (rubbish) => typeof read(rubbish).port === 'number'));
  });

  test('differences have names, and there are none with what was made', () => {
    const link = (vxlan: VxlanInfo | undefined): LinkInfo => ({ kind: vxlan === undefined ? 'tun' : 'vxlan', vxlan }) as LinkInfo;
    const good: VxlanInfo = {
      port: 4789,
      vnetid: 100,
      local: '192.0.2.9' as IpAddress,
      family: 4,
      external: false,
      learning: false,
      localBypass: false,
      df: true,
    };
    expect(differencesOf(link(good), SPEC)).toEqual({});
    expect(differencesOf(link({ ...good, local: undefined, family: undefined }), v6('::'))).toEqual({});
    expect(differencesOf(link({ ...good, localBypass: undefined, external: true }), v6('::1'))).toEqual({
      family: '4, not 6',
      localBypass: 'true, not false',
      external: 'true, not false',
    });
    expect(differencesOf(link(undefined), SPEC)).toEqual({ kind: 'tun, not vxlan' });
  });
});

describe('rows of a forwarding table', () => {
  const row = (flags: number, ...attributes: Uint8Array[]): NetlinkMessage => ({
    type: RTM.newNeighbour,
    flags: 2,
    sequence: 1,
    body: concat([Uint8Array.of(7, 0, 0, 0), host.u32(5), host.u16(0x80), Uint8Array.of(flags, 0), ...attributes]),
  });
  const mac = host.attribute(2, bytes('020820000001'));
  const ip4 = host.attribute(1, bytes('c0000202'));
  const port = host.attribute(6, bytes('1388'));

  test('destination, port and mark', () => {
    expect(readFdbRow(row(0x12, mac, ip4), 5, 4789)).toEqual({ mac: '02:08:20:00:00:01', ip: '192.0.2.2', port: 4789, ours: true });
    expect(readFdbRow(row(0x02, mac, host.attribute(1, new Uint8Array(16)), port), 5, 4789)).toEqual({
      mac: '02:08:20:00:00:01',
      ip: '::',
      port: 5000,
      ours: false,
    });
    expect(readFdbRow(row(0x02, mac), 5, 4789)).toMatchObject({ ip: undefined });
  });

  test('of another link, of a bridge, of another family, cut: no row', () => {
    const whole = row(0x12, mac, ip4);
    expect(readFdbRow(whole, 6, 4789)).toBeUndefined();
    expect(readFdbRow(row(0x12, mac, host.attribute(9, host.u32(3))), 5, 4789)).toBeUndefined();
    expect(readFdbRow({ ...whole, type: 29 }, 5, 4789)).toBeUndefined();
    expect(readFdbRow({ ...whole, body: concat([Uint8Array.of(2), whole.body.subarray(1)]) }, 5, 4789)).toBeUndefined();
    for (let length = 0; length < 22; length++) expect(readFdbRow({ ...whole, body: whole.body.subarray(0, length) }, 5, 4789)).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (rubbish) => {
        readFdbRow({ ...whole, body: concat([whole.body.subarray(0, 12), rubbish]) }, 5, 4789);
      }),
    );
  });
});

describe('a kernel that refuses', () => {
  const { EOPNOTSUPP, EEXIST, EPERM, ENODEV, EADDRINUSE } = constants.errno;
  type Script = Readonly<Partial<Record<number, number | readonly Uint8Array[]>>>;
  /** By type of the request: an errno, or the parts of an RTM_NEWLINK message. */
  function links(script: Script, dumped?: readonly Uint8Array[]): { readonly io: FakeNetlink; readonly vxlans: VxlanLinks } {
    const io = new FakeNetlink(([to]) => {
      const said = to === undefined ? 0 : (script[to.type] ?? 0);
      if (to === undefined) return [];
      if ((to.flags & NLM_F.dump) === NLM_F.dump) {
        return [...(dumped === undefined ? [] : [host.message(RTM.newLink, 2, to.sequence, ...dumped)]), answerDone(to)];
      }
      if (typeof said === 'number') return [answerError(to, said)];
      return [host.message(RTM.newLink, 0, to.sequence, ...said), answerError(to, 0)];
    });
    const route = new NetlinkSocket(io, { protocol: 0 });
    return { io, vxlans: new VxlanLinks({ route, stateId: 's1', filter: new KernelFilter(io, 's1') }) };
  }
  const shown = (...data: Uint8Array[]): Uint8Array[] => [
    ifinfomsg({ index: 5 }),
    host.attribute(3, cString('overlay0')),
    host.attribute(20, cString('overlayadm:s1:overlay0')),
    host.nested(18, host.attribute(1, cString('vxlan')), host.nested(2, ...data)),
  ];

  const foreign = [
    ifinfomsg({ index: 6 }),
    host.attribute(3, cString('foreign0')),
    host.nested(18, host.attribute(1, cString('vxlan')), host.nested(2, host.attribute(1, host.u32(100)), host.attribute(15, bytes('12b5')))),
  ];

  test.each([
    ['no vxlan', { [RTM.newLink]: EOPNOTSUPP }, 'this kernel has no vxlan (EOPNOTSUPP); load it with "modprobe vxlan"'],
    ['no rights', { [RTM.newLink]: EPERM }, 'a vxlan link needs CAP_NET_ADMIN (EPERM)'],
    ['no local bypass', { [RTM.getLink]: shown() }, 'Linux before 6.5 cannot leave the local bypass out (IFLA_VXLAN_LOCALBYPASS)'],
    ['a link that went', { [RTM.getLink]: ENODEV }, 'a vxlan link that was made for a try has gone at once'],
  ] as const)('%s', (_what, script, text) => {
    const { io, vxlans } = links(script);
    expect(vxlans.refuse()).toBe(text);
    const asked = io.sent.length;
    expect(vxlans.refuse()).toBe(text);
    expect(io.sent.length).toBe(2 * asked);
  });

  test('a success is remembered', () => {
    const { io, vxlans } = links({ [RTM.getLink]: shown(host.attribute(31, Uint8Array.of(0))) });
    expect(vxlans.refuse()).toBeUndefined();
    const asked = io.sent.length;
    expect(vxlans.refuse()).toBeUndefined();
    expect(io.sent.length).toBe(asked);
  });

  const codeOf = (run: () => unknown): unknown => {
    try {
      run();
    } catch (error) {
      return OverlayError.is(error) ? [error.code, error.details] : error;
    }
    return undefined;
  };

  test('EEXIST is the name when there is such a link, and the vnetid otherwise', () => {
    expect(codeOf(() => links({ [RTM.newLink]: EOPNOTSUPP }).vxlans.add(SPEC))).toEqual(['VXLAN_MISSING', { errno: EOPNOTSUPP }]);
    expect(codeOf(() => links({ [RTM.newLink]: EEXIST, [RTM.getLink]: shown() }).vxlans.add(SPEC))).toMatchObject(['LINK_EXISTS', {}]);
    const inUse = codeOf(() => links({ [RTM.newLink]: EEXIST, [RTM.getLink]: ENODEV }, foreign).vxlans.add(SPEC));
    expect(inUse).toEqual(['VNETID_IN_USE', { link: 'foreign0', vnetid: 100, port: 4789 }]);
    const gone = codeOf(() => links({ [RTM.newLink]: EEXIST, [RTM.getLink]: ENODEV }).vxlans.add(SPEC));
    expect(gone).toEqual(['VNETID_IN_USE', { link: null, vnetid: 100, port: 4789 }]);
  });

  test('a port in use when it goes up', () => {
    const vxlan = shown(host.attribute(15, bytes('12b5')));
    expect(codeOf(() => links({ [RTM.getLink]: vxlan, [RTM.setLink]: EADDRINUSE }).vxlans.raise('overlay0'))).toEqual([
      'PORT_IN_USE',
      { port: 4789 },
    ]);
  });
});
