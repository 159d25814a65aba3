// Numbers of traffic control that we use: the qdiscs `clsact` and `noqueue`, and the classifier `bpf` (include/uapi/linux/{rtnetlink,pkt_sched,pkt_cls}.h).
import { be16, concat, cString, host } from './message.ts';
import { AF } from './rtnetlink.ts';

export const RTM_TC = { newQdisc: 36, newFilter: 44, getFilter: 46 } as const;

const TCA = { kind: 1, options: 2 } as const;
const TCA_BPF = { fd: 6, name: 7, flags: 8 } as const;
/** What the program returns is what becomes of the frame. */
const TCA_BPF_FLAG_ACT_DIRECT = 1;

/** TC_H_CLSACT with TC_H_MIN_INGRESS and TC_H_MIN_EGRESS: the two lists of filters that the qdisc has. */
const CLSACT = { parent: 0xffff_fff1, handle: 0xffff_0000, ingress: 0xffff_fff2, egress: 0xffff_fff3 } as const;
/** TC_H_ROOT. */
const ROOT = 0xffff_ffff;
const FIRST_PRIORITY = 1;
const ETH_P_ALL = 3;

const TCMSG_BYTES = 20;

export type Direction = 'ingress' | 'egress';

/** struct tcmsg. */
const tcmsg = (index: number, handle: number, parent: number, info: Uint8Array = new Uint8Array(4)): Uint8Array =>
  concat([Uint8Array.of(AF.unspec, 0, 0, 0), host.u32(index), host.u32(handle), host.u32(parent), info]);

/** Of RTM_NEWQDISC. `index` is the link's. */
export const encodeClsact = (index: number): Uint8Array[] => [
  tcmsg(index, CLSACT.handle, CLSACT.parent),
  host.attribute(TCA.kind, cString('clsact')),
];

/** Of RTM_NEWQDISC: the link takes frames at once, or not at all. */
export const encodeNoQueue = (index: number): Uint8Array[] => [tcmsg(index, 0, ROOT), host.attribute(TCA.kind, cString('noqueue'))];

/** tcm_info is one number of the machine's order: the priority above, the protocol, itself in network order, below (TC_H_MAKE). */
function filterInfo(): Uint8Array {
  const protocol = host.readU16(be16(ETH_P_ALL)) ?? 0;
  return host.u32(((FIRST_PRIORITY << 16) | protocol) >>> 0);
}

/** Of RTM_NEWTFILTER: the loaded program `fd` for all frames in one direction, known as `name`. */
export function encodeBpfFilter(index: number, direction: Direction, fd: number, name: string): Uint8Array[] {
  return [
    tcmsg(index, 0, CLSACT[direction], filterInfo()),
    host.attribute(TCA.kind, cString('bpf')),
    host.nested(
      TCA.options,
      host.attribute(TCA_BPF.fd, host.u32(fd)),
      host.attribute(TCA_BPF.name, cString(name)),
      host.attribute(TCA_BPF.flags, host.u32(TCA_BPF_FLAG_ACT_DIRECT)),
    ),
  ];
}

/** Of RTM_GETTFILTER, a dump. */
export const encodeFilterDump = (index: number, direction: Direction): Uint8Array[] => [tcmsg(index, 0, CLSACT[direction])];

/** The bytes of the name that a filter's program has; undefined for a filter without one. `body` is of an RTM_NEWTFILTER. */
export function filterName(body: Uint8Array): Uint8Array | undefined {
  return host.readAttributes(host.readAttributes(body, TCMSG_BYTES).get(TCA.options)).get(TCA_BPF.name);
}
