// Which frames are questions that a proxy answers, and what each asks for.
import { ARP_TARGET_IP, parseArpRequest } from './arp.ts';
import { DHCP_CLIENT_MAC, parseDhcpReply, parseDhcpRequest, wantsBroadcast } from './dhcp.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, type FrameView, isGroup, isZeroMac, newFrameView, parseFrame } from './ethernet.ts';
import { ND_TARGET_IP, parseNeighbourSolicitation } from './ndp.ts';

export type QuestionKind = 'arp' | 'nd' | 'dhcp' | 'none';

/** A frame and its question. Reused, as FrameView is; what stands in it belongs to the last frame that was looked at. */
export interface QuestionView extends FrameView {
  /** Absolute offset and length of what is asked for: the target address (4 or 16 bytes), or the client's MAC (6). */
  keyAt: number;
  keyLength: number;
  /** DHCP only: the client asks for a broadcast answer. */
  broadcast: boolean;
}

export const newQuestionView = (): QuestionView => ({ ...newFrameView(), keyAt: 0, keyLength: 0, broadcast: false });

/**
 * Is this ARP request one to answer? Meant for unicast frames that miss (guests refresh their neighbours that way), true for
 * broadcast ones too. Allocates nothing.
 */
export function isArpRequest(bytes: Uint8Array, at: number, length: number, view: QuestionView): boolean {
  return parseFrame(bytes, at, length, view) && !isGroup(bytes, view.from) && arpKey(bytes, view);
}

function arpKey(bytes: Uint8Array, view: QuestionView): boolean {
  if (!parseArpRequest(bytes, view)) return false;
  view.keyAt = view.payloadAt + ARP_TARGET_IP;
  view.keyLength = 4;
  return true;
}

/**
 * Is this a DHCP server's broadcast to a client that cannot take unicast yet? Then the client's MAC (chaddr) is at
 * `view.keyAt`: one interface's address, never a group's or zero, for the frame goes there. Allocates nothing.
 */
export function isDhcpReply(bytes: Uint8Array, at: number, length: number, view: QuestionView): boolean {
  if (!parseFrame(bytes, at, length, view) || isGroup(bytes, view.from)) return false;
  const bootp = parseDhcpReply(bytes, view);
  if (bootp < 0) return false;
  view.keyAt = bootp + DHCP_CLIENT_MAC;
  view.keyLength = 6;
  return !isGroup(bytes, view.keyAt) && !isZeroMac(bytes, view.keyAt);
}

/**
 * What does a group frame ask? `view` is filled; its key only when the answer is not `none`. Gratuitous ARP, duplicate
 * address detection, a second VLAN tag and a group address as source are `none`. Total over any bytes; allocates nothing.
 */
export function classifyGroupFrame(bytes: Uint8Array, at: number, length: number, view: QuestionView): QuestionKind {
  // An answer goes to the source, so a group address there would turn one question into many answers.
  if (!parseFrame(bytes, at, length, view) || isGroup(bytes, view.from)) return 'none';
  if (view.etherType === ETHERTYPE_ARP) return arpKey(bytes, view) ? 'arp' : 'none';
  if (view.etherType === ETHERTYPE_IPV6) {
    if (!parseNeighbourSolicitation(bytes, view)) return 'none';
    view.keyAt = view.payloadAt + ND_TARGET_IP;
    view.keyLength = 16;
    return 'nd';
  }
  if (view.etherType !== ETHERTYPE_IPV4) return 'none';
  const bootp = parseDhcpRequest(bytes, view);
  if (bootp < 0) return 'none';
  view.keyAt = bootp + DHCP_CLIENT_MAC;
  view.keyLength = 6;
  view.broadcast = wantsBroadcast(bytes, bootp);
  return 'dhcp';
}
