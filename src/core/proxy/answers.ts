// Answers to the questions of guests: from the frame that asked and what the lookup plugin said to the frame that is sent.
import { type IpAddress, ipFamily, ipFromBytes, type MacAddress, macFromBytes, macToBytes } from '@overlayadm/api';
import { buildArpReply, buildGratuitousArp } from '../wire/arp.ts';
import { buildNeighbourAdvertisement, buildUnsolicitedAdvertisement } from '../wire/ndp.ts';
import { classifyGroupFrame, newQuestionView, type QuestionKind, type QuestionView } from '../wire/question.ts';

/** What a frame asks, in the words of a lookup plugin. `vlan` 0-4095 is there for tagged frames; `from` is the frame's source MAC. */
export type FrameQuestion =
  | { readonly kind: 'arp' | 'nd'; readonly ip: IpAddress; readonly vlan?: number; readonly from: MacAddress }
  | { readonly kind: 'dhcp'; readonly client: MacAddress; readonly vlan?: number; readonly from: MacAddress };

function classify(frame: Uint8Array): { readonly kind: QuestionKind; readonly view: QuestionView } {
  const view = newQuestionView();
  return { kind: classifyGroupFrame(frame, 0, frame.length, view), view };
}

/** What `frame` asks; undefined when it asks nothing that is answered. Unicast ARP requests are questions too. */
export function readQuestion(frame: Uint8Array): FrameQuestion | undefined {
  const { kind, view } = classify(frame);
  if (kind === 'none') return undefined;
  const asked = { from: macFromBytes(frame, view.from), ...(view.vlan < 0 ? {} : { vlan: view.vlan }) };
  if (kind === 'dhcp') return { kind, client: macFromBytes(frame, view.keyAt), ...asked };
  return { kind, ip: ipFromBytes(frame.subarray(view.keyAt, view.keyAt + view.keyLength)), ...asked };
}

/** The ARP reply to inject towards the asker; undefined when `question` is no ARP question. */
export function arpAnswer(question: Uint8Array, mac: MacAddress): Uint8Array | undefined {
  const { kind, view } = classify(question);
  return kind === 'arp' ? buildArpReply(question, view, mac) : undefined;
}

/** The neighbour advertisement to inject towards the asker; undefined when `question` is no solicitation. */
export function ndAnswer(question: Uint8Array, mac: MacAddress): Uint8Array | undefined {
  const { kind, view } = classify(question);
  return kind === 'nd' ? buildNeighbourAdvertisement(question, view, mac) : undefined;
}

/**
 * The DHCP broadcast to resend to the server's overlay MAC: only the Ethernet destination differs, the IP destination stays
 * 255.255.255.255 (illumos proxy_dhcp). A new frame; undefined when `question` is no DHCP question.
 */
export function dhcpRedirect(question: Uint8Array, server: MacAddress): Uint8Array | undefined {
  if (classify(question).kind !== 'dhcp') return undefined;
  const frame = question.slice();
  frame.set(macToBytes(server), 0);
  return frame;
}

/** Tells everybody, or `to` alone, that `ip` is at `mac`: gratuitous ARP or an unsolicited neighbour advertisement, to inject. */
export function announcement(ip: IpAddress, mac: MacAddress, to?: MacAddress, vlan?: number): Uint8Array {
  return ipFamily(ip) === 4 ? buildGratuitousArp(ip, mac, to, vlan) : buildUnsolicitedAdvertisement(ip, mac, to, vlan);
}
