// The VXLAN plugin against the kit, with vectors worked out by hand from RFC 7348 §5.
import { type IpAddress, parseIp } from '@overlayadm/api';
import { encapTests } from '@overlayadm/compliance';
import { describe, expect, it } from 'vitest';
import vxlan from '../src/index.ts';

encapTests({ describe, it, expect }, vxlan, {
  values: { listen_ip: '192.0.2.1' as IpAddress, listen_port: 4789 },
  headers: [
    { vnetid: 0x123456, header: '08000000 12345600' },
    { vnetid: 0, header: '08000000 00000000' },
    { vnetid: 16_777_215, header: '08000000 ffffff00' },
  ],
  received: [
    { packet: '08000000 12345600', vnetid: 0x123456 },
    // Reserved bits: ignored on receipt. 0x88 and the policy word are what senders of group policy set.
    { packet: '88000042 12345600', vnetid: 0x123456 },
    { packet: 'ffffffff 000001ff', vnetid: 1 },
    { packet: '00000000 12345600', dropped: 'vxlan.i-flag-clear' },
    { packet: 'f7ffffff 12345600', dropped: 'vxlan.i-flag-clear' },
    { packet: '08000000 123456', dropped: 'too-short' },
    { packet: '', dropped: 'too-short' },
  ],
});

const [listenIp, listenPort] = vxlan.properties;

/** What refuse() of listen_ip says, for text as a person types it. */
function refusalOf(text: string): string | undefined {
  const ip = parseIp(text);
  if (ip === undefined || listenIp?.type !== 'ip') throw new TypeError(`${text} cannot be asked`);
  return listenIp.refuse?.(ip);
}

describe('vxlan properties', () => {
  it.each(['0.0.0.0', '::', '127.0.0.1', '::1', '10.0.0.1', '2001:db8::1', 'fe80::1', '::ffff:10.0.0.1'])('listen_ip accepts %s', (text) => {
    expect(refusalOf(text)).toBe(undefined);
  });
  it.each([
    ['::10.0.0.1', /IPv4-compatible/],
    ['ff02::1', /multicast/],
    ['2002:c000:201::1', /6to4/],
    ['224.0.0.1', /multicast/],
    ['::ffff:239.1.2.3', /multicast/],
    ['255.255.255.255', /broadcast/],
  ])('listen_ip refuses %s', (text, reason) => {
    expect(refusalOf(text)).toMatch(reason);
  });
  it('are those of illumos', () => {
    expect(listenIp).toMatchObject({ name: 'listen_ip', type: 'ip', access: 'rw', required: true });
    expect(listenIp).not.toHaveProperty('default');
    expect(listenPort).toMatchObject({
      name: 'listen_port',
      type: 'uint',
      access: 'rw',
      required: true,
      default: 4789,
      possible: { min: 1, max: 65535 },
    });
  });
});

describe('vxlan', () => {
  it('is told to peers and to the kernel by what it is', () => {
    expect(vxlan).toMatchObject({ needs: ['ip', 'port'], usualPort: 4789, carriesVlanTag: true, vnetid: { min: 0, max: 16_777_215 } });
    expect(vxlan.format).toMatchObject({ carrier: { over: 'udp' }, entropy: 'udp-source-port', kernelKind: 'vxlan' });
  });
  it('listens where its values say', () => {
    expect(vxlan.socket({ listen_ip: '::' as IpAddress, listen_port: 8472 })).toEqual({ listenIp: '::', listenPort: 8472 });
  });
});
