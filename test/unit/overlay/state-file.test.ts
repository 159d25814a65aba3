// A saved overlay as text: comes back as it was, and whatever else stands in a file is told apart and named.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OverlayRecord } from '../../../src/core/overlay/record.ts';
import { formatRecord, readRecord } from '../../../src/core/overlay/state-file.ts';
import { MAX_REASON_BYTES, MAX_STATE_FILE_BYTES } from '../../../src/core/util/limits.ts';
import { ipOf, macOf } from '../../helpers/frames.ts';
import { overlayRecord, vnicRecord } from '../../helpers/overlay-record.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const read = (text: string) => readRecord(bytesOf(text), 'overlay0');

const full = overlayRecord('overlay0', {
  vnics: [vnicRecord('vnic0', { netns: 'blue', vid: 4094, mtu: 576 }), vnicRecord('vnic1')],
  lookup: {
    mode: 'point',
    point: { mac: macOf('2:0:0:0:0:1'), ip: ipOf('2001:db8::1'), port: 4789 },
    group: true,
    resolves: false,
    servesDhcp: false,
  },
});

/** The text of a record in which one thing is otherwise. */
function changed(change: (overlay: Record<string, unknown>) => void, whole: (file: Record<string, unknown>) => void = () => undefined): string {
  const file = JSON.parse(formatRecord(full)) as Record<string, unknown> & { overlay: Record<string, unknown> };
  change(file.overlay);
  whole(file);
  return JSON.stringify(file);
}

describe('a record', () => {
  it.each([
    ['with everything', full],
    ['with as little as there can be', overlayRecord('overlay0', { socket: { listenIp: ipOf('::') }, setters: {} })],
  ])('%s comes back as it was written, in text that people can read', (_what, record) => {
    expect(read(formatRecord(record))).toEqual({ ok: true, record });
    expect(formatRecord(record).split('\n').length).toBeGreaterThan(50);
  });

  it('is a whole one or none, wherever the writing of it has stopped', () => {
    const text = formatRecord(full);
    const whole = bytesOf(text);
    for (let length = 0; length < whole.length - 1; length += 7) {
      expect(readRecord(whole.subarray(0, length), 'overlay0'), `${length} bytes`).toMatchObject({
        ok: false,
        problem: expect.stringMatching(/^is /),
      });
      const zeros = new Uint8Array(whole.length);
      zeros.set(whole.subarray(0, length));
      expect(readRecord(zeros, 'overlay0').ok).toBe(false);
    }
  });

  it.each<[string, string, string]>([
    ['nothing', '', 'is empty'],
    ['no JSON', 'name: overlay0', 'is not whole: it is no JSON text'],
    ['a list', '[]', 'holds no overlay'],
    ['null', 'null', 'holds no overlay'],
    ['no version', '{}', 'says no version'],
    [
      'a version that is none',
      changed(
        () => undefined,
        (file) => Object.assign(file, { version: '1' }),
      ),
      'says no version',
    ],
    [
      'a newer version',
      changed(
        (overlay) => delete overlay.name,
        (file) => Object.assign(file, { version: 2, more: 1 }),
      ),
      'was written by a newer overlayadm (version 2)',
    ],
    [
      'a field beside the overlay',
      changed(
        () => undefined,
        (file) => Object.assign(file, { more: 1 }),
      ),
      'more: is no field of a saved overlay',
    ],
    ['no overlay', '{"version":1}', 'overlay: Invalid type: Expected Object but received undefined'],
    ['the record of another', formatRecord(overlayRecord('overlay1')), 'is the record of overlay1, by another name'],
  ])('that holds %s is told apart', (_what, text, problem) => {
    expect(read(text)).toEqual({ ok: false, problem });
  });

  it.each<[string, (overlay: Record<string, unknown>) => void]>([
    ['overlay.name', (overlay) => Object.assign(overlay, { name: '../overlay0' })],
    ['overlay.vnetid', (overlay) => delete overlay.vnetid],
    ['overlay.socket.listenIp', (overlay) => Object.assign(overlay, { socket: { listenIp: '192.0.2.01' } })],
    ['overlay.socket.port', (overlay) => Object.assign(overlay, { socket: { listenIp: '192.0.2.1', port: 1 } })],
    ['overlay.driver', (overlay) => Object.assign(overlay, { driver: 'magic' })],
    ['overlay.encap.format', (overlay) => Object.assign(overlay.encap as object, { format: null })],
    ['overlay.encap.properties', (overlay) => Object.assign(overlay.encap as object, { properties: [{ name: 'x' }] })],
    ['overlay.lookup.mode', (overlay) => Object.assign(overlay.lookup as object, { mode: 'push' })],
    ['overlay.properties', (overlay) => Object.assign(overlay, { properties: [] })],
    ['overlay.properties', (overlay) => Object.assign(overlay, { properties: [...full.properties, ...full.properties] })],
    ['overlay.properties.0', (overlay) => Object.assign((overlay.properties as object[])[0] as object, { value: 100 })],
    ['overlay.properties.0.description', (overlay) => Object.assign((overlay.properties as object[])[0] as object, { description: {} })],
    ['overlay.setters.files/config.uid', (overlay) => Object.assign(overlay, { setters: { 'files/config': { uid: -1, gid: 0, groups: [] } } })],
    ['overlay.vnics', (overlay) => Object.assign(overlay, { vnics: [vnicRecord('vnic0'), vnicRecord('vnic0')] })],
    ['overlay.vnics.0.mac', (overlay) => Object.assign(overlay, { vnics: [vnicRecord('vnic0', { mac: '01:00:5e:00:00:01' })] })],
    ['overlay.vnics.0.netns', (overlay) => Object.assign(overlay, { vnics: [vnicRecord('vnic0', { netns: '../../proc/1/ns/net' })] })],
    ['overlay.vnics.0.vid', (overlay) => Object.assign(overlay, { vnics: [vnicRecord('vnic0', { vid: 4095 })] })],
    ['overlay.vnics.0.mtu', (overlay) => Object.assign(overlay, { vnics: [vnicRecord('vnic0', { mtu: 68 })] })],
  ])('with a wrong field is refused and names it: %s', (path, change) => {
    const result = read(changed(change));
    expect(result).toEqual({ ok: false, problem: expect.stringMatching(/^overlay\.[^\n]+: ./) });
    if (!result.ok) expect(result.problem.split(': ')[0]).toBe(path);
  });

  it('that is too large is not even looked at', () => {
    const large = new Uint8Array(MAX_STATE_FILE_BYTES + 1).fill(0x20);
    expect(readRecord(large, 'overlay0')).toEqual({ ok: false, problem: expect.stringContaining(`at most ${MAX_STATE_FILE_BYTES}`) });
  });

  const oneLine = (record: ReturnType<typeof readRecord>): boolean =>
    record.ok || (/^[^\p{Cc}\u2028\u2029]+$/u.test(record.problem) && Buffer.byteLength(record.problem) <= MAX_REASON_BYTES);

  it('of any bytes is a record or a problem of one line', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => oneLine(readRecord(bytes, 'overlay0'))));
    fc.assert(fc.property(fc.json(), (json) => oneLine(read(json))));
  });

  it('with any value in any place is a record or a problem of one line, and a record reads back', () => {
    const places = (value: unknown, path: readonly string[] = []): string[][] =>
      typeof value === 'object' && value !== null
        ? [[...path], ...Object.keys(value).flatMap((key) => places((value as Record<string, unknown>)[key], [...path, key]))]
        : [[...path]];
    const all = places(JSON.parse(formatRecord(full)).overlay).filter((path) => path.length > 0);
    fc.assert(
      fc.property(fc.constantFrom(...all), fc.oneof(fc.jsonValue(), fc.string(), fc.constantFrom(-1, 0, 1, 4096, 1e300)), (path, value) => {
        const text = changed((overlay) => {
          const parent = path.slice(0, -1).reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, overlay);
          parent[path.at(-1) as string] = value;
        });
        const result = read(text);
        return oneLine(result) && (!result.ok || equal(readRecord(bytesOf(formatRecord(result.record)), 'overlay0'), result.record));
      }),
      { numRuns: 500 },
    );
  });
});

function equal(result: ReturnType<typeof readRecord>, record: OverlayRecord): boolean {
  expect(result).toEqual({ ok: true, record });
  return true;
}
