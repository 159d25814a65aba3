// The programs of a VLAN's port as golden bytes, what asks the kernel for them, and the order in which a VNIC gets them.
import { constants, endianness } from 'node:os';
import { parseMac } from '@overlayadm/api';
import type { BpfAttachment, BpfHook } from '@overlayadm/packetio';
import { describe, expect, test } from 'vitest';
import { LinuxKernel } from '../../../src/core/linux/kernel.ts';
import { host, type NetlinkMessage, readText } from '../../../src/core/linux/netlink/message.ts';
import { ifinfomsg } from '../../../src/core/linux/netlink/rtnetlink.ts';
import { NetlinkSocket } from '../../../src/core/linux/netlink/socket.ts';
import { encodeBpfFilter, encodeClsact, encodeFilterDump, filterName } from '../../../src/core/linux/netlink/traffic-control.ts';
import { attachTags, tagOf } from '../../../src/core/linux/vlan-hooks.ts';
import { tagPrograms } from '../../../src/core/linux/vlan-tags.ts';
import { answerDone, answerError, FakeNetlink } from './fake-netlink.ts';

const { EINVAL, ENOENT, EOPNOTSUPP, EPERM } = constants.errno;
const hex = (...parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString('hex');
const instructions = (program: Uint8Array): string[] => hex(program).match(/.{16}/g) ?? [];
const link = { name: 'vnic0', index: 7 };
const [RTM_NEWLINK, RTM_SETLINK, RTM_DELLINK, RTM_NEWQDISC, RTM_NEWTFILTER, RTM_GETTFILTER] = [16, 19, 17, 36, 44, 46];

const systemError = (errno: number): Error => Object.assign(new Error(`E${errno}, bpf`), { errno });

/** A kernel with programs; `log` has what was asked of it, in order. */
class FakeKernel extends FakeNetlink {
  readonly log: string[] = [];
  readonly open = new Set<number>();
  names: Record<number, readonly string[]> = {};
  failing: Partial<Record<'load' | 'attach' | 'attached', number>> = {};
  #lastFd = 100;

  bpfLoad(name: string, program: Uint8Array): number {
    if (this.failing.load !== undefined) throw systemError(this.failing.load);
    this.log.push(`load ${name} ${program.length / 8}`);
    this.open.add(++this.#lastFd);
    return this.#lastFd;
  }
  bpfAttach({ program, index, attachType, namespace }: BpfAttachment): void {
    if (this.failing.attach !== undefined) throw systemError(this.failing.attach);
    this.log.push(`attach ${program} to ${index} at ${attachType} in ${namespace}`);
  }
  bpfAttached({ attachType }: BpfHook): string[] {
    if (this.failing.attached !== undefined) throw systemError(this.failing.attached);
    return [...(this.names[attachType] ?? [])];
  }
  override netlinkSend(fd: number, message: Uint8Array): void {
    super.netlinkSend(fd, message);
    for (const { type, body } of this.sent.at(-1) ?? []) {
      const flags = type === RTM_NEWLINK || type === RTM_SETLINK ? ` up=${host.readU32(body, 8)}/${host.readU32(body, 12)}` : '';
      this.log.push(`netlink ${type}${flags}`);
    }
  }
  override close(fd: number): void {
    super.close(fd);
    this.open.delete(fd);
  }
}

const fine = (messages: readonly NetlinkMessage[]): Uint8Array[] => messages.map((message) => answerError(message, 0));
function place(answer: ConstructorParameters<typeof FakeKernel>[0] = fine) {
  const io = new FakeKernel(answer);
  return { io, socket: new NetlinkSocket(io, { protocol: 0 }), link };
}

describe('programs', () => {
  test('egress: a frame with a tag of its own is dropped, any other gets the tag', () => {
    expect(instructions(tagPrograms(0x123, 'LE').egress)).toEqual([
      'bf16000000000000', // r6 = skb
      '6112140000000000', // r2 = skb->vlan_present
      '5502100000000000', // if it is there: drop
      'b70200000c000000', // r2 = 12
      'bfa3000000000000', // r3 = stack
      '07030000f8ffffff', // - 8
      'b704000002000000', // r4 = 2
      '850000001a000000', // bpf_skb_load_bytes
      '55000a0000000000', // if not read: drop
      '69a2f8ff00000000', // r2 = EtherType
      '1502080081000000', // if 802.1Q: drop
      '1502070088a80000', // if 802.1ad: drop
      'bf61000000000000', // r1 = skb
      'b702000081000000', // r2 = 802.1Q
      'b703000023010000', // r3 = VID
      '8500000012000000', // bpf_skb_vlan_push
      '5500020000000000', // if not: drop
      'b7000000ffffffff', // next
      '9500000000000000',
      'b700000002000000', // drop
      '9500000000000000',
    ]);
  });

  test('ingress: exactly this VID of 802.1Q, and no tag behind it', () => {
    expect(instructions(tagPrograms(0x123, 'LE').ingress)).toEqual([
      'bf16000000000000', // r6 = skb
      '6112140000000000', // r2 = skb->vlan_present
      '15020b0000000000', // if not: drop
      '61121c0000000000', // r2 = skb->vlan_proto
      '5502090081000000', // if not 802.1Q: drop
      '6112180000000000', // r2 = skb->vlan_tci
      '57020000ff0f0000', // without priority
      '5502060023010000', // if not VID: drop
      '8500000013000000', // bpf_skb_vlan_pop
      '5500040000000000', // if not: drop
      '6162140000000000', // r2 = skb->vlan_present
      '5502020000000000', // if there is another: drop
      'b7000000ffffffff', // next
      '9500000000000000',
      'b700000002000000', // drop
      '9500000000000000',
    ]);
  });

  test('on a big-endian machine: registers, numbers and what is compared', () => {
    const { egress, ingress } = tagPrograms(0x123, 'BE');
    expect(instructions(egress).slice(4, 12)).toEqual([
      'bf3a000000000000',
      '07300000fffffff8',
      'b740000000000002',
      '850000000000001a',
      '5500000a00000000',
      '692afff800000000',
      '1520000800008100',
      '15200007000088a8',
    ]);
    expect(instructions(ingress).slice(3, 8)).toEqual([
      '6121001c00000000',
      '5520000900008100',
      '6121001800000000',
      '5720000000000fff',
      '5520000600000123',
    ]);
  });

  test('VIDs are 1 to 4094', () => {
    for (const vid of [0, 4095, -1, 1.5, Number.NaN]) expect(() => tagPrograms(vid), String(vid)).toThrow(RangeError);
    expect(tagPrograms(4094).egress).not.toEqual(tagPrograms(1).egress);
  });
});

describe.skipIf(endianness() === 'BE')('traffic control', () => {
  test('a clsact qdisc, its filters, and how they are listed', () => {
    expect(hex(...encodeClsact(7))).toBe(`${'0000000007000000'}${'0000fffff1ffffff00000000'}${'0b000100636c7361637400'}00`);
    const name = Buffer.from('overlayadm_5').toString('hex');
    const options = `${'28000280'}${'0800060009000000'}${'11000700'}${name}00000000${'0800080001000000'}`;
    const filter = (parent: string): string => `${'0000000007000000'}${'00000000'}${parent}${'00030100'}${'0800010062706600'}${options}`;
    expect(hex(...encodeBpfFilter(7, 'ingress', 9, 'overlayadm_5'))).toBe(filter('f2ffffff'));
    expect(hex(...encodeBpfFilter(7, 'egress', 9, 'overlayadm_5'))).toBe(filter('f3ffffff'));
    expect(hex(...encodeFilterDump(7, 'egress'))).toBe('000000000700000000000000f3ffffff00000000');
  });

  test('the name of a filter, from any bytes', () => {
    const body = Buffer.concat(encodeBpfFilter(7, 'ingress', 9, 'overlayadm_5'));
    expect(readText(filterName(body))).toBe('overlayadm_5');
    for (let length = 0; length < body.length; length++) {
      expect([undefined, 'overlayadm_5']).toContain(readText(filterName(body.subarray(0, length))));
    }
    expect(filterName(Buffer.concat(encodeClsact(7)))).toBeUndefined();
  });
});

describe('attaching', () => {
  test('both programs in the namespace of the link, and no descriptor is kept', () => {
    const at = { ...place(), namespace: '/run/netns/blue' };
    attachTags(at, 5);
    expect(at.io.log).toEqual([
      'load overlayadm_5 16',
      'load overlayadm_5 21',
      'attach 101 to 7 at 46 in /run/netns/blue',
      'attach 102 to 7 at 47 in /run/netns/blue',
    ]);
    expect(at.io.open.size).toBe(0);
  });

  test('a kernel without TCX is given a clsact qdisc', () => {
    const at = place();
    at.io.failing = { attach: EINVAL };
    attachTags(at, 5);
    expect(at.io.sent.flat().map((message) => [message.type, message.flags])).toEqual(
      [RTM_NEWQDISC, RTM_NEWTFILTER, RTM_NEWTFILTER].map((type) => [type, 0x605]),
    );
    expect(at.io.sent.flat().map((message) => message.body)).toEqual(
      [
        Buffer.concat(encodeClsact(7)),
        Buffer.concat(encodeBpfFilter(7, 'ingress', 101, 'overlayadm_5')),
        Buffer.concat(encodeBpfFilter(7, 'egress', 102, 'overlayadm_5')),
      ].map((body) => Uint8Array.from(body)),
    );
    expect(at.io.open.size).toBe(0);
  });

  test.each([
    ['load', { load: EPERM }, fine, 'EPERM', 'CAP_BPF'],
    ['attach', { attach: EPERM }, fine, 'EPERM', 'CAP_BPF'],
    [
      'attach by clsact',
      { attach: EINVAL },
      (messages: readonly NetlinkMessage[]) => messages.map((message) => answerError(message, ENOENT)),
      'ENOENT',
      'CONFIG_NET_CLS_BPF',
    ],
  ])('refused: %s', (_name, failing, answer, code, advice) => {
    const at = place(answer);
    at.io.failing = failing;
    expect(() => attachTags(at, 5)).toThrow(
      expect.objectContaining({
        code: 'VLAN_TAGS_REFUSED',
        message: expect.stringMatching(new RegExp(`^vnic0: cannot be given the tags of VLAN 5 \\(${code}: `)),
        advice: expect.stringContaining(advice),
        details: expect.objectContaining({ code, vid: 5, kernel: expect.any(String) }),
      }),
    );
    expect(at.io.open.size).toBe(0);
  });
});

describe('asking which VLAN', () => {
  const done = (messages: readonly NetlinkMessage[]): Uint8Array[] => messages.map((message) => answerDone(message));

  test.each<[string, Record<number, readonly string[]>, number | undefined]>([
    ['both', { 46: ['overlayadm_5'], 47: ['overlayadm_5'] }, 5],
    ['both, beside others', { 46: ['cilium', 'overlayadm_4094'], 47: ['overlayadm_4094', ''] }, 4094],
    ['none', {}, undefined],
    ['only others', { 46: ['cilium'], 47: ['overlayadm_x'] }, undefined],
    ['one', { 46: ['overlayadm_5'] }, undefined],
    ['two that differ', { 46: ['overlayadm_5'], 47: ['overlayadm_6'] }, undefined],
    ['twice', { 46: ['overlayadm_5', 'overlayadm_5'], 47: ['overlayadm_5'] }, undefined],
  ])('TCX: %s', (_name, names, vid) => {
    const at = place(done);
    at.io.names = names;
    expect(tagOf(at)).toBe(vid);
  });

  test('clsact, where there is no TCX', () => {
    const at = place((messages) =>
      messages.flatMap((message) => {
        const body = encodeBpfFilter(7, host.readU32(message.body, 12) === 0xffff_fff2 ? 'ingress' : 'egress', 9, 'overlayadm_5');
        return [host.message(RTM_NEWTFILTER ?? 0, 2, message.sequence, ...body), answerDone(message)];
      }),
    );
    at.io.failing = { attached: EINVAL };
    expect(tagOf(at)).toBe(5);
    expect(at.io.sent.flat().map((message) => message.type)).toEqual([RTM_GETTFILTER, RTM_GETTFILTER]);
  });

  test('no traffic control at all is no VLAN; a refusal is said', () => {
    expect(tagOf(place((messages) => messages.map((message) => answerError(message, EOPNOTSUPP))))).toBeUndefined();
    const at = place(done);
    at.io.failing = { attached: EPERM };
    expect(() => tagOf(at)).toThrow(expect.objectContaining({ code: 'NOT_PERMITTED' }));
  });
});

describe('a VNIC', () => {
  const mac = parseMac('2:8:20:0:0:1');
  if (mac === undefined) throw new Error('no MAC address');
  const spec = { name: 'vnic0', overlay: 'overlay0', mac, mtu: 1400 };
  /** Every link that is asked for is there. */
  const links = (messages: readonly NetlinkMessage[]): Uint8Array[] =>
    messages.flatMap((message) => {
      if (message.type !== 18) return fine([message]);
      const name = host.readAttributes(message.body, 16).get(3) ?? new Uint8Array(0);
      return [host.message(RTM_NEWLINK ?? 0, 0, message.sequence, ifinfomsg({ index: 7 }), host.attribute(3, name)), answerError(message, 0)];
    });
  const changes = (io: FakeKernel): string[] => io.log.filter((line) => line !== 'netlink 18');

  test('without a VLAN is made up, in one message', () => {
    const io = new FakeKernel(links);
    new LinuxKernel({ io, stateId: 's1' }).addVnic(spec);
    expect(changes(io)).toEqual([`netlink ${RTM_NEWLINK} up=1/1`, `netlink ${RTM_SETLINK} up=0/0`]);
  });

  test('with a VLAN is made down, and goes up when it has its tags and its mark', () => {
    const io = new FakeKernel(links);
    new LinuxKernel({ io, stateId: 's1' }).addVnic({ ...spec, vid: 5 });
    expect(changes(io)).toEqual([
      `netlink ${RTM_NEWLINK} up=0/1`,
      'load overlayadm_5 16',
      'load overlayadm_5 21',
      'attach 101 to 7 at 46 in undefined',
      'attach 102 to 7 at 47 in undefined',
      `netlink ${RTM_SETLINK} up=0/0`,
      `netlink ${RTM_SETLINK} up=1/1`,
    ]);
  });

  test.each([
    ['refused tags', { ...spec, vid: 5 }, { attach: EPERM }],
    ['a number that is no VID', { ...spec, vid: 4095 }, {}],
  ])('is taken back: %s', (_name, wrong, failing) => {
    const io = new FakeKernel(links);
    io.failing = failing;
    expect(() => new LinuxKernel({ io, stateId: 's1' }).addVnic(wrong)).toThrow();
    expect(changes(io).at(-1)).toBe(`netlink ${RTM_DELLINK}`);
    expect(io.log.join()).not.toContain('up=1');
  });
});
