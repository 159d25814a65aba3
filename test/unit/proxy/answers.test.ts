// Answers byte by byte, as RFC 826, RFC 4861 and RFC 2131 have them on the wire.
import type { IpAddress, MacAddress } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { announcement, arpAnswer, dhcpRedirect, ndAnswer, readQuestion } from '../../../src/core/proxy/answers.ts';
import { ANSWER, ASKER, arpRequest, bytes, CLIENT, discover, FE80_1, FE80_2, hex, naiveIcmpv6, solicitation, TAG } from '../wire/frames.ts';

const MAC = '02:08:20:00:00:02' as MacAddress;
const plain = (text: string): string => text.replace(/\s+/g, '');

describe('ARP', () => {
  const body = `0806  0001 0800 06 04 0002  ${ANSWER} 0a000002  ${ASKER} 0a000001`;

  it('untagged', () => {
    expect(hex(arpAnswer(arpRequest(), MAC) as Uint8Array)).toBe(plain(`${ASKER} ${ANSWER} ${body}`));
  });

  it('tagged, priority kept', () => {
    expect(hex(arpAnswer(arpRequest(TAG), MAC) as Uint8Array)).toBe(plain(`${ASKER} ${ANSWER} 8100 6064 ${body}`));
  });

  it('leaves the question as it is and its padding behind', () => {
    const padded = Uint8Array.from([...arpRequest(), ...new Uint8Array(18).fill(0xee)]);
    const before = hex(padded);
    expect(arpAnswer(padded, MAC)).toHaveLength(42);
    expect(hex(padded)).toBe(before);
  });

  it('answers a unicast request and a probe', () => {
    const frame = arpRequest();
    frame.set(bytes('020820000002'), 0);
    frame.set([0, 0, 0, 0], 28);
    expect(hex(arpAnswer(frame, MAC) as Uint8Array)).toBe(plain(`${ASKER} ${ANSWER} 0806 000108000604 0002 ${ANSWER} 0a000002 ${ASKER} 00000000`));
  });
});

describe('neighbour discovery', () => {
  // The checksum was worked out apart from this project and found right by tshark.
  const body = `86dd  60000000 0020 3a ff ${FE80_2} ${FE80_1}  88 00 f811 60000000 ${FE80_2} 0201 ${ANSWER}`;

  it('untagged', () => {
    const frame = ndAnswer(solicitation(), MAC) as Uint8Array;
    expect(hex(frame)).toBe(plain(`${ASKER} ${ANSWER} ${body}`));
    expect(naiveIcmpv6(frame, 14, 32)).toBe(0xf811);
  });

  it('tagged, priority kept', () => {
    expect(hex(ndAnswer(solicitation({ tag: TAG }), MAC) as Uint8Array)).toBe(plain(`${ASKER} ${ANSWER} 8100 6064 ${body}`));
  });

  it('has a right checksum for any addresses', () => {
    const sixteen = fc.uint8Array({ minLength: 14, maxLength: 14 }).map((tail) => `2001${hex(tail)}`);
    fc.assert(
      fc.property(sixteen, sixteen, (source, target) => {
        fc.pre(source !== target);
        const frame = ndAnswer(solicitation({ source, target }), MAC) as Uint8Array;
        expect(naiveIcmpv6(frame, 14, 32) % 65535).toBe((((frame[56] as number) << 8) | (frame[57] as number)) % 65535);
      }),
    );
  });
});

describe('DHCP', () => {
  it('rewrites the Ethernet destination and nothing else, in a frame of its own', () => {
    for (const tag of ['', TAG]) {
      const question = discover({ tag });
      const before = hex(question);
      expect(hex(dhcpRedirect(question, MAC) as Uint8Array)).toBe(ANSWER + before.slice(12));
      expect(hex(question)).toBe(before);
    }
  });
});

describe('announcement', () => {
  it('of an IPv4 address to everybody', () => {
    const frame = announcement('10.0.0.2' as IpAddress, MAC);
    expect(hex(frame)).toBe(plain(`ffffffffffff ${ANSWER} 0806 000108000604 0001 ${ANSWER} 0a000002 ffffffffffff 0a000002`));
    expect(readQuestion(frame)).toBeUndefined();
  });

  it('of an IPv4 address to one, in a VLAN, without the DEI bit', () => {
    const frame = announcement('10.0.0.2' as IpAddress, MAC, '02:08:20:00:00:01' as MacAddress, 100);
    expect(hex(frame)).toBe(plain(`${ASKER} ${ANSWER} 8100 0064 0806 000108000604 0001 ${ANSWER} 0a000002 ffffffffffff 0a000002`));
  });

  it('of an IPv6 address', () => {
    const all = 'ff02000000000000 0000000000000001';
    const body = `86dd 60000000 0020 3a ff ${FE80_2} ${all} 88 00 3790 20000000 ${FE80_2} 0201 ${ANSWER}`;
    const frame = announcement('fe80::2' as IpAddress, MAC);
    expect(hex(frame)).toBe(plain(`333300000001 ${ANSWER} ${body}`));
    expect(naiveIcmpv6(frame, 14, 32)).toBe(0x3790);
    const one = announcement('fe80::2' as IpAddress, MAC, '02:08:20:00:00:01' as MacAddress, 4095);
    expect(hex(one)).toBe(plain(`${ASKER} ${ANSWER} 8100 0fff ${body}`));
  });
});

describe('readQuestion', () => {
  it('says what is asked, by whom and where', () => {
    const from = '02:08:20:00:00:01';
    expect(readQuestion(arpRequest())).toEqual({ kind: 'arp', ip: '10.0.0.2', from });
    expect(readQuestion(arpRequest(TAG))).toEqual({ kind: 'arp', ip: '10.0.0.2', vlan: 100, from });
    expect(readQuestion(solicitation({ tag: '8100 0000' }))).toEqual({ kind: 'nd', ip: 'fe80::2', vlan: 0, from });
    expect(readQuestion(discover({ tag: TAG }))).toEqual({ kind: 'dhcp', client: '02:08:20:00:00:aa', vlan: 100, from });
    expect(CLIENT).toBe('0208200000aa');
  });

  it('answers no question with the answer to another', () => {
    const frames = [arpRequest(), solicitation(), discover(), solicitation({ source: '00'.repeat(16), options: '' }), new Uint8Array(5)];
    expect(frames.map((frame) => arpAnswer(frame, MAC) !== undefined)).toEqual([true, false, false, false, false]);
    expect(frames.map((frame) => ndAnswer(frame, MAC) !== undefined)).toEqual([false, true, false, false, false]);
    expect(frames.map((frame) => dhcpRedirect(frame, MAC) !== undefined)).toEqual([false, false, true, false, false]);
    expect(frames.map((frame) => readQuestion(frame)?.kind)).toEqual(['arp', 'nd', 'dhcp', undefined, undefined]);
  });

  it('is total', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.constantFrom(arpRequest(), solicitation(), discover()), fc.nat(300), (junk, frame, at) => {
        const mixed = frame.slice();
        mixed.set(junk.subarray(0, Math.max(0, mixed.length - at)), Math.min(at, mixed.length));
        for (const input of [junk, mixed]) {
          readQuestion(input);
          arpAnswer(input, MAC);
          ndAnswer(input, MAC);
          dhcpRedirect(input, MAC);
        }
      }),
    );
  });
});
