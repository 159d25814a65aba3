// A VNIC as the access port of a VLAN: two eBPF programs, one puts the tag on what it sends, one lets in only what has it. Pure.
import { endianness } from 'node:os';
import type { Direction } from './netlink/traffic-control.ts';

/*
 * Inside, a VNIC with a VLAN is untagged: a frame that the guest has tagged itself (802.1Q or 802.1ad) is dropped, and so is one that
 * arrives with a second tag behind ours. A frame arrives when its tag is 802.1Q with this VID; the priority bits do not matter, no tag
 * and VID 0 are other VLANs. The programs stand in the traffic control hooks (TCX; before Linux 6.6 a clsact qdisc), where the kernel
 * keeps a tag beside the frame and not in it: __netif_receive_skb_core() has taken it out before, and validate_xmit_skb() puts it in
 * afterwards, also into every segment of a GSO packet. VNICs of one overlay reach each other through macvlan, which is below both
 * hooks. What the hooks do not see: a packet socket for all protocols (tcpdump) is before the ingress and behind the egress hook, so it
 * shows tags, and group frames of other VLANs; and PACKET_QDISC_BYPASS sends past them. Both need CAP_NET_RAW in the VNIC's namespace.
 */

export const VID = { min: 1, max: 4094 } as const;

/** Instructions that we use, as `class | size or source | operation` (Documentation/bpf/standardization/instruction-set.rst). */
const OP = {
  loadWord: 0x61,
  loadHalf: 0x69,
  set: 0xb7,
  copy: 0xbf,
  add: 0x07,
  and: 0x57,
  ifEqual: 0x15,
  ifNot: 0x55,
  call: 0x85,
  exit: 0x95,
} as const;
/** Result; first argument; the others; kept over calls; end of the stack. */
const R = { result: 0, skb: 1, a: 2, b: 3, c: 4, kept: 6, stack: 10 } as const;
/** struct __sk_buff: the tag that is kept beside the frame. Its protocol is in network order, the TCI in the machine's. */
const SKB = { vlanPresent: 20, vlanTci: 24, vlanProtocol: 28 } as const;
const HELPER = { vlanPush: 18, vlanPop: 19, loadBytes: 26 } as const;
/** TCX_NEXT, which is TC_ACT_UNSPEC too: to programs behind ours, and then on its way. TCX_DROP, which is TC_ACT_SHOT. */
const VERDICT = { next: -1, drop: 2 } as const;
const ETHERTYPE = { offset: 12, dot1q: 0x8100, dot1ad: 0x88a8 } as const;
const VID_MASK = 0xfff;
/** Where the program keeps the EtherType, behind the end of the stack. */
const SLOT = -8;
const INSTRUCTION_BYTES = 8;

interface Instruction {
  readonly op: number;
  readonly dst?: number;
  readonly src?: number;
  /** Offset of a load; 'drop' in a jump leads to the drop that ends every program. */
  readonly off?: number | 'drop';
  readonly imm?: number;
}

/** struct bpf_insn; the two registers share a byte, as a C compiler of that byte order lays out its halves. */
function assemble(instructions: readonly Instruction[], order: 'LE' | 'BE'): Uint8Array<ArrayBuffer> {
  const program = [...instructions, { op: OP.set, dst: R.result, imm: VERDICT.drop }, { op: OP.exit }];
  const view = new DataView(new ArrayBuffer(program.length * INSTRUCTION_BYTES));
  for (const [index, { op, dst = 0, src = 0, off = 0, imm = 0 }] of program.entries()) {
    const at = index * INSTRUCTION_BYTES;
    view.setUint8(at, op);
    view.setUint8(at + 1, order === 'LE' ? (src << 4) | dst : (dst << 4) | src);
    // A jump counts from the instruction behind it.
    view.setInt16(at + 2, off === 'drop' ? instructions.length - index - 1 : off, order === 'LE');
    view.setInt32(at + 4, imm, order === 'LE');
  }
  return new Uint8Array(view.buffer);
}

const go: readonly Instruction[] = [{ op: OP.set, dst: R.result, imm: VERDICT.next }, { op: OP.exit }];

function egress(vid: number, net16: (value: number) => number): Instruction[] {
  return [
    { op: OP.copy, dst: R.kept, src: R.skb },
    // A tag of the guest: beside the frame,
    { op: OP.loadWord, dst: R.a, src: R.skb, off: SKB.vlanPresent },
    { op: OP.ifNot, dst: R.a, off: 'drop', imm: 0 },
    // or in it. Its bytes are asked, because skb->protocol is what the sender of a packet socket says it is.
    { op: OP.set, dst: R.a, imm: ETHERTYPE.offset },
    { op: OP.copy, dst: R.b, src: R.stack },
    { op: OP.add, dst: R.b, imm: SLOT },
    { op: OP.set, dst: R.c, imm: 2 },
    { op: OP.call, imm: HELPER.loadBytes },
    { op: OP.ifNot, dst: R.result, off: 'drop', imm: 0 },
    { op: OP.loadHalf, dst: R.a, src: R.stack, off: SLOT },
    { op: OP.ifEqual, dst: R.a, off: 'drop', imm: net16(ETHERTYPE.dot1q) },
    { op: OP.ifEqual, dst: R.a, off: 'drop', imm: net16(ETHERTYPE.dot1ad) },
    // bpf_skb_vlan_push(skb, protocol, TCI): priority 0.
    { op: OP.copy, dst: R.skb, src: R.kept },
    { op: OP.set, dst: R.a, imm: net16(ETHERTYPE.dot1q) },
    { op: OP.set, dst: R.b, imm: vid },
    { op: OP.call, imm: HELPER.vlanPush },
    { op: OP.ifNot, dst: R.result, off: 'drop', imm: 0 },
    ...go,
  ];
}

function ingress(vid: number, net16: (value: number) => number): Instruction[] {
  return [
    { op: OP.copy, dst: R.kept, src: R.skb },
    { op: OP.loadWord, dst: R.a, src: R.skb, off: SKB.vlanPresent },
    { op: OP.ifEqual, dst: R.a, off: 'drop', imm: 0 },
    { op: OP.loadWord, dst: R.a, src: R.skb, off: SKB.vlanProtocol },
    { op: OP.ifNot, dst: R.a, off: 'drop', imm: net16(ETHERTYPE.dot1q) },
    { op: OP.loadWord, dst: R.a, src: R.skb, off: SKB.vlanTci },
    { op: OP.and, dst: R.a, imm: VID_MASK },
    { op: OP.ifNot, dst: R.a, off: 'drop', imm: vid },
    // bpf_skb_vlan_pop(skb); a second tag then stands where the first one was.
    { op: OP.call, imm: HELPER.vlanPop },
    { op: OP.ifNot, dst: R.result, off: 'drop', imm: 0 },
    { op: OP.loadWord, dst: R.a, src: R.kept, off: SKB.vlanPresent },
    { op: OP.ifNot, dst: R.a, off: 'drop', imm: 0 },
    ...go,
  ];
}

/** Both programs as the kernel takes them. @param vid 1-4094. @throws RangeError */
export function tagPrograms(vid: number, order: 'LE' | 'BE' = endianness()): Readonly<Record<Direction, Uint8Array<ArrayBuffer>>> {
  if (!Number.isInteger(vid) || vid < VID.min || vid > VID.max) throw new RangeError(`a VID is a number from ${VID.min} to ${VID.max}, not ${vid}`);
  // What a machine of this order reads where 16 bits in network order stand.
  const net16 = (value: number): number => (order === 'LE' ? ((value & 0xff) << 8) | (value >> 8) : value);
  return { ingress: assemble(ingress(vid, net16), order), egress: assemble(egress(vid, net16), order) };
}
