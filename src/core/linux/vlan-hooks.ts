// The programs of vlan-tags.ts on a link: into TCX, or before Linux 6.6 into a clsact qdisc, and which VLAN a link has.
import { constants } from 'node:os';
import { messageOf, OverlayError } from '@overlayadm/api';
import type { PacketIo } from '@overlayadm/packetio';
import { ADVICE_CAPABILITY, describeErrno, errnoOf, kernelRefused } from './errors.ts';
import { NLM_F, readText } from './netlink/message.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import { type Direction, encodeBpfFilter, encodeClsact, encodeFilterDump, filterName, RTM_TC } from './netlink/traffic-control.ts';
import type { LinkInfo } from './types.ts';
import { tagPrograms } from './vlan-tags.ts';

export type BpfIo = Pick<PacketIo, 'bpfLoad' | 'bpfAttach' | 'bpfAttached' | 'close'>;

const DIRECTIONS = ['ingress', 'egress'] as const;
/** BPF_TCX_INGRESS and BPF_TCX_EGRESS (bpf.h). */
const TCX = { ingress: 46, egress: 47 } as const;

/** At most 15 bytes (BPF_OBJ_NAME_LEN); `bpftool net` and `tc filter` show it, and tagOf() reads it. */
const programName = (vid: number): string => `overlayadm_${vid}`;
const NAME = /^overlayadm_([1-9][0-9]{0,3})$/;

export interface TagPlace {
  readonly io: BpfIo;
  /** Of the link's namespace. */
  readonly socket: NetlinkSocket;
  readonly link: Pick<LinkInfo, 'name' | 'index'>;
  /** Path of the link's namespace; without it our own. */
  readonly namespace?: string | undefined;
}

const hookOf = ({ link, namespace }: TagPlace, direction: Direction) => ({
  index: link.index,
  attachType: TCX[direction],
  ...(namespace === undefined ? {} : { namespace }),
});

const ADVICE_KERNEL =
  'This needs a kernel with CONFIG_BPF_SYSCALL and, from Linux 6.6 on, CONFIG_NET_XGRESS, before that CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF.';

function refused(name: string, vid: number, error: unknown): unknown {
  const { errno: told } = OverlayError.is(error) ? error.details : {};
  const errno = typeof told === 'number' ? told : errnoOf(error);
  if (errno === undefined) return error;
  const { code, text } = describeErrno(errno);
  const { EPERM, EACCES } = constants.errno;
  return new OverlayError('VLAN_TAGS_REFUSED', `${name}: cannot be given the tags of VLAN ${vid} (${code}: ${text})`, {
    // What the verifier said is in the message of the addon.
    details: { errno, code, vid, kernel: messageOf(error) },
    advice: errno === EPERM || errno === EACCES ? `${ADVICE_CAPABILITY} CAP_BPF is needed where CAP_SYS_ADMIN is not there.` : ADVICE_KERNEL,
    cause: error,
  });
}

type Loaded = Readonly<Record<Direction, number>>;

function loaded<T>(io: BpfIo, vid: number, use: (programs: Loaded) => T): T {
  const code = tagPrograms(vid);
  const fds: number[] = [];
  const load = (direction: Direction): number => {
    const fd = io.bpfLoad(programName(vid), code[direction]);
    fds.push(fd);
    return fd;
  };
  try {
    return use({ ingress: load('ingress'), egress: load('egress') });
  } finally {
    for (const fd of fds) io.close(fd);
  }
}

/** False when this kernel has no TCX, which it says with EINVAL (kernel/bpf/syscall.c, include/net/tcx.h). */
function attachTcx(place: TagPlace, programs: Loaded): boolean {
  try {
    for (const direction of DIRECTIONS) place.io.bpfAttach({ ...hookOf(place, direction), program: programs[direction] });
    return true;
  } catch (error) {
    if (errnoOf(error) === constants.errno.EINVAL) return false;
    throw error;
  }
}

function attachClsact({ socket, link }: TagPlace, vid: number, programs: Loaded): void {
  const make = NLM_F.create | NLM_F.excl;
  socket.request({ subject: link.name, action: 'be given a clsact qdisc' }, RTM_TC.newQdisc, make, ...encodeClsact(link.index));
  for (const direction of DIRECTIONS) {
    const filter = encodeBpfFilter(link.index, direction, programs[direction], programName(vid));
    socket.request({ subject: link.name, action: `be given its ${direction} filter` }, RTM_TC.newFilter, make, ...filter);
  }
}

/**
 * Gives a link that is down, and has no tags yet, those of a VLAN. They stay until the link goes, whatever becomes of this process.
 * What is attached when it throws is the caller's to remove, with the link.
 * @param vid 1-4094.
 * @param tcx False: as on a kernel without it.
 * @throws OverlayError VLAN_TAGS_REFUSED; RangeError for a number that is no VID.
 */
export function attachTags(place: TagPlace, vid: number, tcx = true): void {
  try {
    loaded(place.io, vid, (programs) => {
      if (!tcx || !attachTcx(place, programs)) attachClsact(place, vid, programs);
    });
  } catch (error) {
    throw refused(place.link.name, vid, error);
  }
}

function namesOnTcx(place: TagPlace, direction: Direction): string[] {
  try {
    return place.io.bpfAttached(hookOf(place, direction));
  } catch (error) {
    const errno = errnoOf(error) ?? 0;
    if (errno === constants.errno.EINVAL) return [];
    throw kernelRefused(place.link.name, 'be asked for its tags', errno, error);
  }
}

function namesOnClsact({ socket, link }: TagPlace, direction: Direction): string[] {
  const purpose = { subject: link.name, action: 'be asked for its filters' };
  try {
    const filters = socket.dump(purpose, RTM_TC.getFilter, ...encodeFilterDump(link.index, direction));
    return filters.map((filter) => readText(filterName(filter.body)) ?? '');
  } catch (error) {
    // A kernel that has TCX may be without traffic control (CONFIG_NET_SCHED).
    if (OverlayError.is(error) && error.details?.errno === constants.errno.EOPNOTSUPP) return [];
    throw error;
  }
}

const vidsIn = (names: readonly string[]): number[] => names.map((name) => Number(NAME.exec(name)?.[1] ?? 0)).filter((vid) => vid !== 0);

function tagIn(place: TagPlace, direction: Direction): number | undefined {
  const onTcx = vidsIn(namesOnTcx(place, direction));
  const vids = onTcx.length > 0 ? onTcx : vidsIn(namesOnClsact(place, direction));
  return vids.length === 1 ? vids[0] : undefined;
}

/** The VLAN of a link as its two programs are called; undefined unless it has exactly one of each, for the same VLAN. @throws OverlayError */
export function tagOf(place: TagPlace): number | undefined {
  const vid = tagIn(place, 'ingress');
  return vid !== undefined && vid === tagIn(place, 'egress') ? vid : undefined;
}
