// The direct plugin against the kit, and its refusals.
import { type IpAddress, OverlayError, parseIp } from '@overlayadm/api';
import { fakeHost, ipshim, lookupTests } from '@overlayadm/compliance';
import { describe, expect, it } from 'vitest';
import direct from '../src/index.ts';

const ip = (text: string): IpAddress => {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new TypeError(`${text} is no address`);
  return parsed;
};

lookupTests(
  { describe, it, expect },
  {
    plugin: direct,
    values: { dest_ip: ip('192.0.2.7'), dest_port: 4789 },
    serves: [['ip', 'port'], ipshim.needs, ['port']],
    answers: { mode: 'point', destination: { ip: ip('192.0.2.7'), port: 4789 } },
    badStarts: [{ name: 'a port is needed and has no value', values: { dest_ip: ip('192.0.2.7') } }],
  },
);

describe('direct to a multicast group', () => {
  lookupTests(
    { describe, it, expect },
    {
      plugin: direct,
      values: { dest_ip: ip('ff05::100'), dest_port: 1 },
      serves: [['ip', 'port'], ['ip'], ['port']],
      answers: { mode: 'point', destination: { ip: ip('ff05::100'), port: 1 } },
      badStarts: [],
    },
  );
});

const [destIp, destPort] = direct.properties;
const refusalOf = (text: string): string | undefined => (destIp?.type === 'ip' ? destIp.refuse?.(ip(text)) : 'direct/dest_ip is no address');

describe('direct properties', () => {
  it.each(['10.0.0.1', '2001:db8::1', '224.0.0.1', 'ff02::1', '::ffff:10.0.0.1'])('dest_ip accepts %s', (text) => {
    expect(refusalOf(text)).toBe(undefined);
  });
  it.each([
    ['::10.0.0.1', /IPv4-compatible/],
    ['2002:c000:201::1', /6to4/],
    ['0.0.0.0', /unspecified/],
    ['::', /unspecified/],
  ])('dest_ip refuses %s', (text, reason) => {
    expect(refusalOf(text)).toMatch(reason);
  });
  it('dest_port is only there for an encapsulation with ports, and has no default', () => {
    expect(destPort).toMatchObject({ name: 'dest_port', type: 'uint', required: true, onlyFor: 'port', possible: { min: 1, max: 65535 } });
    expect(destPort).not.toHaveProperty('default');
  });
  it('serves an encapsulation that needs only an IP without a port', async () => {
    const instance = direct.create(ipshim.needs, { dest_ip: ip('10.0.0.1') }, fakeHost());
    await instance.start(new AbortController().signal);
    expect(instance.mode === 'point' && instance.destination()).toEqual({ ip: '10.0.0.1' });
  });
  it('says which property is unset', async () => {
    const instance = direct.create(['ip', 'port'], { dest_ip: ip('10.0.0.1') }, fakeHost());
    const error = await instance.start(new AbortController().signal).catch((thrown: unknown) => thrown);
    expect(OverlayError.is(error) && error.code).toBe('DIRECT_UNSET');
    expect(OverlayError.is(error) && error.message).toMatch(/^direct\/dest_port: /);
  });
});
