// A DHCP server's broadcast to its client: bytes of a real server, every rule broken once, and no byte read behind the frame.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyGroupFrame, isDhcpReply, newQuestionView, type QuestionView } from '../../../src/core/wire/question.ts';
import { bytes, CLIENT, type DiscoverParts, discover, hex, TAG } from './frames.ts';

const view = newQuestionView();
const isReply = (frame: Uint8Array, of: QuestionView = view): boolean => isDhcpReply(frame, 0, frame.length, of);
const keyOf = (frame: Uint8Array): string => hex(frame.subarray(view.keyAt, view.keyAt + view.keyLength));
const reply = (parts: DiscoverParts = {}): Uint8Array => discover({ op: '02', ports: '0043 0044', ...parts });
const changed = (frame: Uint8Array, at: number, text: string): Uint8Array => {
  frame.set(bytes(text), at);
  return frame;
};
/** DHCPOFFER of 10.8.0.101 to 02:08:20:00:00:01, as dnsmasq 2.90 sent it to a client with the broadcast flag. */
const OFFER = bytes(`
  ffffffffffff 020820000002 0800
  45c00148 4ec80000 40112014 0a080002 ffffffff
  0043 0044 0134 0b4f
  02010600 b15ec143 0000 8000 00000000 0a080065 0a080002 00000000 020820000001 ${'00'.repeat(10 + 64 + 128)}
  63825363 350102 36040a080002 330400000e10 3a0400000708 3b0400000c4e 0104ffffff00 1c040a0800ff 03040a080002 ff ${'00'.repeat(14)}`);
/** Offset of chaddr in an untagged frame: Ethernet 14, IPv4 20, UDP 8, BOOTP 28. */
const CHADDR = 70;

describe('the broadcast of a DHCP server', () => {
  it('is known as it stands on the wire', () => {
    expect(OFFER.length).toBe(342);
    expect(isReply(OFFER)).toBe(true);
    expect(keyOf(OFFER)).toBe('020820000001');
    expect(classifyGroupFrame(OFFER, 0, OFFER.length, newQuestionView())).toBe('none');
  });

  it('names its client, at any offset of an arena, tagged or not', () => {
    for (const tag of ['', TAG]) {
      const frame = reply({ tag });
      const arena = Uint8Array.from([...new Uint8Array(70).fill(0xff), ...frame, ...new Uint8Array(9).fill(0xff)]);
      expect(isDhcpReply(arena, 70, frame.length, view)).toBe(true);
      expect(keyOf(arena)).toBe(CLIENT);
    }
  });

  it('is none in any frame that was cut off', () => {
    for (let length = 0; length < reply().length; length++) expect(isDhcpReply(reply(), 0, length, view)).toBe(false);
  });

  const broken: readonly (readonly [string, DiscoverParts])[] = [
    ['to one MAC address', { to: '020820000002' }],
    ['to another group', { to: '01005e000001' }],
    ['first fragment', { fragment: '2000' }],
    ['later fragment', { fragment: '0010' }],
    ['TCP', { protocol: '06' }],
    ['client to server', { ports: '0044 0043' }],
    ['other source port', { ports: '0045 0044' }],
    ['to a relay', { ports: '0043 0043' }],
    ['BOOTREQUEST', { op: '01' }],
    ['no cookie', { cookie: '63825364' }],
    ['total length past the frame', { totalLength: 0xffff }],
    ['total length below the headers', { totalLength: 27 }],
    ['UDP length past the packet', { udpLength: 400 }],
    ['UDP length below BOOTP', { udpLength: 247 }],
    ['two tags', { tag: `${TAG} ${TAG}` }],
  ];
  it.each(broken)('is not a frame with a mistake: %s', (_, parts) => {
    expect(isReply(reply())).toBe(true);
    expect(isReply(reply(parts))).toBe(false);
  });

  it.each([
    ['nobody', '000000000000'],
    ['everybody', 'ffffffffffff'],
    ['a group', '01005e000001'],
  ])('is none when its client is %s: the frame would go there', (_, client) => {
    expect(isReply(changed(reply(), CHADDR, client))).toBe(false);
  });

  it('is none from a group address, of another hardware, or of another length of address', () => {
    expect(isReply(changed(reply(), 6, '01'))).toBe(false);
    expect(isReply(changed(reply(), 43, '06'))).toBe(false);
    expect(isReply(changed(reply(), 44, '08'))).toBe(false);
  });

  it('has its client inside the frame, whatever the bytes; what lies behind does not matter', () => {
    const mutated = fc.tuple(
      fc.constantFrom(reply(), reply({ tag: TAG })),
      fc.array(fc.tuple(fc.nat(320), fc.nat(255)), { maxLength: 3 }),
      fc.nat(320),
    );
    fc.assert(
      fc.property(mutated, ([seed, changes, cut]) => {
        const frame = seed.slice();
        for (const [at, value] of changes) frame[at % frame.length] = value;
        const length = Math.min(cut + 200, frame.length);
        const found = isDhcpReply(frame, 0, length, view);
        if (found) expect(view.keyAt + view.keyLength).toBeLessThanOrEqual(length);
        const arena = Uint8Array.from([...frame.subarray(0, length), ...new Uint8Array(400).fill(0xa5)]);
        expect(isDhcpReply(arena, 0, length, newQuestionView())).toBe(found);
      }),
    );
  });
});
