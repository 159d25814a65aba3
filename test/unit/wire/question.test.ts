// Which frames are questions: one good frame of each kind, and every rule broken once.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseArpRequest } from '../../../src/core/wire/arp.ts';
import { parseDhcpRequest } from '../../../src/core/wire/dhcp.ts';
import { type FrameView, parseFrame } from '../../../src/core/wire/ethernet.ts';
import { parseNeighbourSolicitation } from '../../../src/core/wire/ndp.ts';
import { classifyGroupFrame, isArpRequest, newQuestionView } from '../../../src/core/wire/question.ts';
import { arpRequest, bytes, CLIENT, type DiscoverParts, discover, FE80_1, hex, type SolicitationParts, solicitation, TAG } from './frames.ts';

const view = newQuestionView();
const kindOf = (frame: Uint8Array): string => classifyGroupFrame(frame, 0, frame.length, view);
const keyOf = (frame: Uint8Array): string => hex(frame.subarray(view.keyAt, view.keyAt + view.keyLength));
/** The frame with some bytes changed. */
const changed = (frame: Uint8Array, at: number, text: string): Uint8Array => {
  frame.set(bytes(text), at);
  return frame;
};

describe.each([
  ['untagged', ''],
  ['tagged', TAG],
])('%s', (_, tag) => {
  it('finds the key of every question, at any offset of an arena', () => {
    for (const [frame, kind, key] of [
      [arpRequest(tag), 'arp', '0a000002'],
      [solicitation({ tag }), 'nd', 'fe800000000000000000000000000002'],
      [discover({ tag }), 'dhcp', CLIENT],
    ] as const) {
      const arena = Uint8Array.from([...new Uint8Array(70).fill(0xff), ...frame, ...new Uint8Array(9).fill(0xff)]);
      expect(classifyGroupFrame(arena, 70, frame.length, view)).toBe(kind);
      expect(keyOf(arena)).toBe(key);
      expect(view.vlan).toBe(tag === '' ? -1 : 100);
    }
  });

  it('finds none in any frame that was cut off', () => {
    for (const frame of [arpRequest(tag), solicitation({ tag }), discover({ tag })])
      for (let length = 0; length < frame.length; length++) expect(classifyGroupFrame(frame, 0, length, view)).toBe('none');
  });
});

describe('ARP', () => {
  it.each([
    ['hardware type', 14, '0006'],
    ['protocol type', 16, '86dd'],
    ['hardware length', 18, '08'],
    ['protocol length', 19, '10'],
    ['reply', 20, '0002'],
    ['gratuitous', 28, '0a000002'],
    ['group address as source', 6, '01'],
    ['service tag', 12, '88a8'],
  ])('%s: no question', (_, at, text) => {
    expect(kindOf(arpRequest())).toBe('arp');
    expect(kindOf(changed(arpRequest(), at, text))).toBe('none');
  });

  it('a second VLAN tag: no question', () => {
    expect(kindOf(arpRequest(`${TAG} ${TAG}`))).toBe('none');
  });

  it('a probe is a question', () => {
    expect(kindOf(changed(arpRequest(), 28, '00000000'))).toBe('arp');
  });

  it('padding behind it does not matter', () => {
    expect(kindOf(Uint8Array.from([...arpRequest(), ...new Uint8Array(18)]))).toBe('arp');
  });

  it('is recognised in unicast frames', () => {
    const frame = changed(arpRequest(), 0, '020820000002');
    expect(isArpRequest(frame, 0, frame.length, view)).toBe(true);
    expect(keyOf(frame)).toBe('0a000002');
    expect(isArpRequest(changed(frame, 20, '0002'), 0, frame.length, view)).toBe(false);
    expect(isArpRequest(solicitation(), 0, solicitation().length, view)).toBe(false);
  });
});

describe('neighbour discovery', () => {
  const broken: readonly (readonly [string, SolicitationParts])[] = [
    ['destination MAC is no IPv6 multicast', { to: 'ffffffffffff' }],
    ['destination MAC begins with 33 only', { to: '33ff00000002' }],
    ['destination MAC is unicast with 33 behind', { to: '023300000002' }],
    ['hop limit below 255', { hopLimit: 'fe' }],
    ['extension header', { next: '00' }],
    ['source unspecified (DAD)', { source: '00'.repeat(16), options: '' }],
    ['source unspecified with option', { source: '00'.repeat(16) }],
    ['source multicast', { source: 'ff02000000000000 0000000000000001' }],
    ['asks for itself', { target: FE80_1 }],
    ['destination unicast', { destination: FE80_1 }],
    ['destination multicast of site scope', { destination: 'ff05000000000000 0000000000000001' }],
    ['advertisement', { type: '88' }],
    ['router solicitation', { type: '85' }],
    ['code', { code: '01' }],
    ['target multicast', { target: 'ff02000000000000 0000000000000001' }],
    ['target loopback', { target: '0000000000000000 0000000000000001' }],
    ['target unspecified', { target: '00'.repeat(16) }],
    ['target v4-mapped', { target: '0000000000000000 0000ffff0a000001' }],
    ['no option', { options: '' }],
    ['no source link address', { options: '0e01000000000000' }],
    ['option of length zero', { options: `0101020820000001 0e00000000000000` }],
    ['option past the end', { options: '0101020820000001 0e02000000000000' }],
    ['half an option header', { options: '0101020820000001 0e' }],
    ['source link address of two units', { options: `0102020820000001 0000000000000000` }],
    ['payload length below a solicitation', { length: 23 }],
    ['payload length past the frame', { length: 33 }],
    ['payload length 0xffff', { length: 0xffff }],
    ['wrong checksum', { checksum: 0x1234 }],
  ];
  it.each(broken)('%s: no question', (_, parts) => {
    expect(kindOf(solicitation())).toBe('nd');
    expect(kindOf(solicitation(parts))).toBe('none');
  });

  it('another IP version, or another EtherType: no question', () => {
    expect(kindOf(changed(solicitation(), 14, '40'))).toBe('none');
    expect(kindOf(changed(solicitation(), 12, '86de'))).toBe('none');
  });

  it('takes options in any order, the all-nodes group, and bytes behind the packet', () => {
    expect(kindOf(solicitation({ options: '0e01000000000000 0101020820000001' }))).toBe('nd');
    expect(kindOf(solicitation({ destination: 'ff02000000000000 0000000000000001', to: '333300000001' }))).toBe('nd');
    expect(kindOf(solicitation({ trailer: 'ffffff' }))).toBe('nd');
  });

  it('notices every single flipped bit of the message', () => {
    const good = solicitation();
    for (let bit = 54 * 8; bit < good.length * 8; bit++) {
      const frame = good.slice();
      frame[bit >> 3] = (frame[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(kindOf(frame)).toBe('none');
    }
  });
});

describe('DHCP', () => {
  const broken: readonly (readonly [string, DiscoverParts])[] = [
    ['unicast', { to: '020820000002' }],
    ['other group', { to: '01005e000001' }],
    ['first fragment', { fragment: '2000' }],
    ['later fragment', { fragment: '0010' }],
    ['TCP', { protocol: '06' }],
    ['server to client', { ports: '0043 0044' }],
    ['other source port', { ports: '0045 0043' }],
    ['BOOTREPLY', { op: '02' }],
    ['no cookie', { cookie: '63825364' }],
    ['total length past the frame', { totalLength: 0xffff }],
    ['total length below the headers', { totalLength: 27 }],
    ['UDP length past the packet', { udpLength: 400 }],
    ['UDP length below BOOTP', { udpLength: 247 }],
  ];
  it.each(broken)('%s: no question', (_, parts) => {
    expect(kindOf(discover())).toBe('dhcp');
    expect(kindOf(discover(parts))).toBe('none');
  });

  it('honours IPv4 options and "do not fragment", and reads the broadcast flag', () => {
    expect(kindOf(discover({ ipOptions: '94040000', fragment: '4000', flags: '0000' }))).toBe('dhcp');
    expect(view.broadcast).toBe(false);
    expect(kindOf(discover())).toBe('dhcp');
    expect(view.broadcast).toBe(true);
    expect(kindOf(discover({ flags: '0000' }))).toBe('dhcp');
    expect(view.broadcast).toBe(false);
    expect(kindOf(discover({ ipOptions: '94040000 01010101 01010100' }))).toBe('dhcp');
    expect(view.broadcast).toBe(true);
  });

  it('refuses a header length below 20, another version and another hardware', () => {
    expect(kindOf(changed(discover(), 14, '44'))).toBe('none');
    expect(kindOf(changed(discover(), 14, '65'))).toBe('none');
    expect(kindOf(changed(discover(), 43, '06'))).toBe('none');
    expect(kindOf(changed(discover(), 44, '08'))).toBe('none');
  });
});

it('the parsers look at the EtherType themselves', () => {
  for (const [frame, parse] of [
    [arpRequest(), parseArpRequest],
    [solicitation(), parseNeighbourSolicitation],
    [discover(), (bytes: Uint8Array, of: FrameView) => parseDhcpRequest(bytes, of) > 0],
  ] as const) {
    expect(parseFrame(frame, 0, frame.length, view) && parse(frame, view)).toBe(true);
    view.etherType++;
    expect(parse(frame, view)).toBe(false);
  }
});

it('is total: a key inside the frame, or none', () => {
  const seeds = [arpRequest(), arpRequest(TAG), solicitation(), solicitation({ tag: TAG }), discover(), discover({ tag: TAG })];
  const mutated = fc.tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(320), fc.nat(255)), { maxLength: 4 }), fc.nat(320));
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 120 })), (input) => {
      const [frame, length] = input instanceof Uint8Array ? [input, input.length] : [input[0].slice(), Math.min(input[2], input[0].length)];
      if (!(input instanceof Uint8Array)) for (const [at, value] of input[1]) frame[at % frame.length] = value;
      const kind = classifyGroupFrame(frame, 0, length, view);
      isArpRequest(frame, 0, length, newQuestionView());
      if (kind !== 'none') expect(view.keyAt + view.keyLength).toBeLessThanOrEqual(length);
      // What lies behind the frame in the arena must not matter.
      const arena = Uint8Array.from([...frame.subarray(0, length), ...new Uint8Array(400).fill(0xa5)]);
      expect(classifyGroupFrame(arena, 0, length, newQuestionView())).toBe(kind);
    }),
    { numRuns: 2000 },
  );
});
