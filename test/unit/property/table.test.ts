// The table of one overlay, and where every value comes from.
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { checkDescription, type PropertyDescription } from '../../../src/core/property/description.ts';
import { OVERLAY_PROPERTIES, SEARCH_PROPERTY } from '../../../src/core/property/generic.ts';
import { propertyTable, resolveProperties, valuesOf } from '../../../src/core/property/table.ts';

const COMMON = { access: 'rw', required: true, summary: 'a test', live: false, hasRefuse: false } as const;
const PORT = { min: 1, max: 65535 };
const VXLAN = {
  name: 'vxlan',
  needs: ['ip', 'port'],
  properties: [
    { ...COMMON, name: 'listen_ip', type: 'ip' },
    { ...COMMON, name: 'listen_port', type: 'uint', default: 4789, possible: PORT },
  ],
} as const;
const NVGRE = { name: 'nvgre', needs: ['ip'], properties: [{ ...COMMON, name: 'listen_ip', type: 'ip' }] } as const;
const DIRECT = {
  name: 'direct',
  properties: [
    { ...COMMON, name: 'dest_ip', type: 'ip' },
    { ...COMMON, name: 'dest_port', type: 'uint', possible: PORT, onlyFor: 'port' },
  ],
} as const;
const FILES = { name: 'files', properties: [{ ...COMMON, name: 'config', type: 'path' }] } as const;
const table = propertyTable(VXLAN, FILES);

function caught(work: () => unknown): Pick<OverlayError, 'code' | 'message' | 'advice' | 'details'> {
  try {
    work();
  } catch (error) {
    if (error instanceof OverlayError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
/** `a=1,b=2`, as somebody might type it behind -p. */
const typedList = (typed: string): { name: string; text: string }[] =>
  typed.split(',').map((item) => ({ name: item.slice(0, item.indexOf('=')), text: item.slice(item.indexOf('=') + 1) }));
const resolve = (typed: string, of = table, configured?: Map<string, string>) =>
  resolveProperties(of, typed === '' ? [] : typedList(typed), configured);
const GOOD = 'vxlan/listen_ip=10.0.0.1,files/config=/etc/map.json';

describe('the table', () => {
  it('has the rows of show-overlay in its order', () => {
    expect(table.entries.map(({ fullName }) => fullName)).toEqual([
      'mtu',
      'vnetid',
      'encap',
      'datapath',
      'varpd/id',
      'vxlan/listen_ip',
      'vxlan/listen_port',
      'search',
      'files/config',
    ]);
    expect(table.entries.map(({ owner }) => owner[0]).join('')).toBe('oooooeeol');
  });

  it('has only what the encapsulation needs', () => {
    const names = (needs: typeof VXLAN | typeof NVGRE): string[] => propertyTable(needs, DIRECT).entries.map(({ fullName }) => fullName);
    expect(names(VXLAN)).toContain('direct/dest_port');
    expect(names(NVGRE)).not.toContain('direct/dest_port');
  });

  it('describes the properties of every overlay rightly', () => {
    for (const { name, ...rest } of [...OVERLAY_PROPERTIES, SEARCH_PROPERTY] as PropertyDescription[])
      expect(checkDescription({ ...rest, name: name.replace('/', '_') })).toBeUndefined();
  });
});

describe('values', () => {
  const settled = (resolved: ReturnType<typeof resolve>, name: string): unknown[] => {
    const found = resolved.find(({ fullName }) => fullName === name);
    return [found?.value, found?.from];
  };

  it('come from -p, then the configuration, then the default', () => {
    const configured = new Map([
      ['mtu', '1500'],
      ['vxlan/listen_ip', '10.9.9.9'],
      ['svp/host', 'elsewhere'],
      ['vnetid', 'junk that is not ours to take'],
    ]);
    const resolved = resolve(GOOD, table, configured);
    expect(settled(resolved, 'vxlan/listen_ip')).toEqual(['10.0.0.1', 'argument']);
    expect(settled(resolved, 'mtu')).toEqual([1500, 'configuration']);
    expect(settled(resolved, 'vxlan/listen_port')).toEqual([4789, 'default']);
    expect(settled(resolved, 'datapath')).toEqual(['auto', 'default']);
    expect(settled(resolved, 'vnetid')).toEqual([undefined, 'nothing']);
  });

  it('are handed to plugins by their short names', () => {
    const resolved = resolve(`${GOOD},mtu=8900,datapath=tap`);
    expect(valuesOf(resolved, 'encap')).toEqual({ listen_ip: '10.0.0.1', listen_port: 4789 });
    expect(valuesOf(resolved, 'lookup')).toEqual({ config: '/etc/map.json' });
    expect(valuesOf(resolved, 'overlay')).toEqual({ mtu: 8900, datapath: 'tap' });
  });

  it('are missed, with what to type', () => {
    expect(caught(() => resolve('files/config=/x'))).toMatchObject({
      code: 'PROPERTY_MISSING',
      message: 'vxlan/listen_ip: required, but has no value',
      advice: 'Add -p vxlan/listen_ip=<ip>.',
    });
    expect(caught(() => resolve(''))).toMatchObject({
      message: 'vxlan/listen_ip, files/config: required, but have no value',
      advice: 'Add -p vxlan/listen_ip=<ip>,files/config=<path>.',
      details: { properties: ['vxlan/listen_ip', 'files/config'] },
    });
    expect(resolve('nvgre/listen_ip=10.0.0.1,direct/dest_ip=10.0.0.2', propertyTable(NVGRE, DIRECT))).toHaveLength(8);
  });

  it('are refused in the same words wherever they come from', () => {
    expect(caught(() => resolve(`${GOOD},mtu=575`)).message).toBe('mtu: 575 is not allowed (576-8900)');
    const error = caught(() => resolve(GOOD, table, new Map([['mtu', '9000']])));
    expect(error).toMatchObject({ code: 'PROPERTY_INVALID', message: 'mtu: 9000 is not allowed (576-8900)', details: { source: 'configuration' } });
    expect(error.advice).toContain('configuration directory');
  });
});

describe('names', () => {
  const known = 'mtu, datapath, vxlan/listen_ip, vxlan/listen_port, files/config';
  it.each([
    ['vxlan/listenip=1', 'vxlan/listenip: no such property', `Known are: ${known}.`],
    ['listen_ip=1', 'listen_ip: no such property', `Did you mean vxlan/listen_ip? Known are: ${known}.`],
    ['svp/host=x', 'svp/host: belongs to the plugin svp, but this overlay uses vxlan and files', `Known are: ${known}.`],
    ['__proto__=x', '__proto__: no such property', `Known are: ${known}.`],
    ['varpd/x=1', 'varpd/x: no such property', `Known are: ${known}.`],
  ])('%s is unknown', (typed, message, advice) => {
    expect(caught(() => resolve(typed))).toMatchObject({ code: 'PROPERTY_UNKNOWN', message, advice });
  });

  it('that the encapsulation leaves out are told apart', () => {
    expect(caught(() => resolve('direct/dest_port=1', propertyTable(NVGRE, DIRECT)))).toMatchObject({
      code: 'PROPERTY_UNKNOWN',
      message: 'direct/dest_port: is not there with nvgre, whose destinations have no port',
    });
  });

  it.each([
    ['vnetid=5', 'vnetid: cannot be set with -p', 'Use -v.'],
    ['encap=vxlan', 'encap: cannot be set with -p', 'Use -e.'],
    ['search=files', 'search: cannot be set with -p', 'Use -s.'],
    ['varpd/id=1', 'varpd/id: cannot be set with -p (read-only property)', 'Leave out varpd/id.'],
  ])('%s cannot be given', (typed, message, advice) => {
    expect(caught(() => resolve(typed))).toMatchObject({ code: 'PROPERTY_READ_ONLY', message, advice });
  });

  it('given twice are refused here too, for callers that do not come through -p', () => {
    const twice = [
      { name: 'mtu', text: '1400' },
      { name: 'mtu', text: '1500' },
    ];
    expect(caught(() => resolveProperties(table, twice)).code).toBe('PROPERTY_REPEATED');
  });
});
