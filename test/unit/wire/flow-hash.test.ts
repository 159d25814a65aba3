// The hash of the inner flow: what belongs to a flow, what does not, and how well it spreads.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flowHash } from '../../../src/core/wire/flow-hash.ts';
import { bytes } from './frames.ts';

const hash = (text: string): number => flowHash(bytes(text), 0, bytes(text).length);
const MACS = '020820000001 020820000002';
const OTHER_MACS = '020820000003 020820000002';

interface Flow {
  macs?: string;
  tag?: string;
  fragment?: string;
  protocol?: string;
  destination?: string;
  ports?: string;
  rest?: string;
  ihl?: string;
  options?: string;
}
const v4 = (flow: Flow = {}): string => {
  const { macs = MACS, tag = '', fragment = '4000', protocol = '06', destination = '0a000002', ports = '1234 0050', rest = '', ihl = '5' } = flow;
  return `${macs} ${tag} 0800 4${ihl} 00 0028 0001 ${fragment} 40 ${protocol} 0000 0a000001 ${destination} ${flow.options ?? ''} ${ports} ${rest}`;
};
const v6 = (flow: Flow = {}): string => {
  const { macs = MACS, tag = '', protocol = '06', destination = '20010db8000000000000000000000002', ports = '1234 0050', rest = '' } = flow;
  return `${macs} ${tag} 86dd 60000000 0014 ${protocol} 40 20010db8000000000000000000000001 ${destination} ${ports} ${rest}`;
};

describe.each([
  ['IPv4', v4],
  ['IPv6', v6],
])('%s', (name, packet) => {
  it('is the same for all packets of a flow', () => {
    const first = hash(packet());
    for (const flow of [{ rest: 'abcdef' }, { tag: '8100 0064' }, { macs: OTHER_MACS }]) expect(hash(packet(flow))).toBe(first);
  });

  it('differs for another protocol, port or address', () => {
    const destination = name === 'IPv4' ? '0a000003' : '20010db8000000000000000000000003';
    const flows = [{}, { ports: '1235 0050' }, { ports: '1234 0051' }, { protocol: '11' }, { protocol: '84' }, { protocol: '2f' }, { destination }];
    expect(new Set(flows.map((flow) => hash(packet(flow)))).size).toBe(flows.length);
  });

  it('leaves the ports out where there are none', () => {
    expect(hash(packet({ protocol: '2f', ports: '1234 0050' }))).toBe(hash(packet({ protocol: '2f', ports: '9999 9999' })));
  });

  it('takes the addresses when the ports were cut off, and the ports when nothing is behind them', () => {
    const cut = (flow: Flow): string => packet({ ...flow, ports: '' });
    expect(hash(cut({ macs: OTHER_MACS }))).toBe(hash(cut({})));
    expect(hash(cut({}))).toBe(hash(packet({ ports: '123400' })));
    expect(hash(cut({}))).not.toBe(hash(packet({ ports: '12340050' })));
  });

  it('spreads flows evenly over 16 sockets', () => {
    const counts = new Array<number>(16).fill(0);
    for (let port = 0; port < 4096; port++) {
      const low = hash(packet({ ports: `${(32768 + port).toString(16)} 0050` })) & 15;
      counts[low] = (counts[low] as number) + 1;
    }
    // 256 expected; five standard deviations of a binomial are about 78.
    for (const count of counts) expect(Math.abs(count - 256)).toBeLessThan(78);
  });
});

it('is the same for all fragments of a datagram', () => {
  const fragments = [v4({ fragment: '2000' }), v4({ fragment: '2010', ports: 'aaaa bbbb' }), v4({ fragment: '0020', ports: 'cccc dddd' })];
  expect(new Set(fragments.map(hash)).size).toBe(1);
});

it('finds the ports behind IPv4 options', () => {
  const packet = (ports: string): string => v4({ ihl: '6', options: '94040000', ports });
  expect(hash(packet('1234 0050'))).not.toBe(hash(packet('1235 0050')));
  expect(hash(packet('1234 0050'))).toBe(hash(v4()));
});

it('takes the MACs of other frames', () => {
  expect(hash(`${MACS} 0806 0001`)).toBe(hash(`${MACS} 0806 0002`));
  expect(hash(`${MACS} 0806 0001`)).not.toBe(hash(`${OTHER_MACS} 0806 0001`));
});

it('is total, unsigned, and does not look behind the frame', () => {
  const headed = fc.tuple(fc.constantFrom(v4(), v6(), v4({ tag: '8100 0064' })), fc.uint8Array({ maxLength: 20 }), fc.nat(70));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), headed), (input) => {
      const frame = input instanceof Uint8Array ? input : Uint8Array.from([...bytes(input[0]), ...input[1]]).subarray(0, input[2]);
      const found = flowHash(frame, 0, frame.length);
      expect(Number.isInteger(found) && found >= 0 && found <= 0x7fff_ffff).toBe(true);
      const arena = Uint8Array.from([0x11, ...frame, 0x22, 0x33, 0x44, 0x55]);
      expect(flowHash(arena, 1, frame.length)).toBe(found);
    }),
  );
  expect(flowHash(new Uint8Array(4), 0, 1500)).toBe(flowHash(new Uint8Array(1500), 0, 1500));
});
