// The door of the channel: right messages pass unchanged, everything else gives a reason.
import { OverlayError } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_BATCH_ANSWERS, MAX_LINE_BYTES, MAX_REASON_BYTES } from '../../../src/core/util/limits.ts';
import { checkFromHost, checkToHost, cutText, errorOf, failureOf } from '../../../src/core/varpd/protocol.ts';

const mac = '02:00:00:00:00:01';
const format = {
  carrier: { over: 'udp' },
  template: [8, 0, 0, 0, 0, 0, 0, 0],
  vnetid: { bit: 32, bits: 24 },
  accept: [{ at: 0, mask: [8], value: [8], dropReason: 'vxlan.i-flag-clear' }],
  length: { kind: 'fixed' },
  entropy: 'udp-source-port',
  kernelKind: 'vxlan',
};
const path = { name: 'config', type: 'path', access: 'rw', required: true, summary: 'a file', live: true, hasRefuse: false };
const lookup = (properties: unknown) => ({ type: 'described', call: 0, description: { kind: 'lookup', name: 'files', properties } });
const answers = (...list: unknown[]) => ({ type: 'answers', instance: 0, answers: list });

const fromHost = {
  ready: { type: 'ready' },
  pong: { type: 'pong' },
  found: answers({ id: 1, kind: 'found', destination: { ip: '192.0.2.1', port: 4789 } }),
  resolved: answers({ id: 1, kind: 'resolved', mac, destination: { mac } }, { id: 2, kind: 'resolved', mac }),
  drop: answers({ id: 1, kind: 'drop', reason: 'lookup.unknown' }),
  encap: {
    type: 'described',
    call: 1,
    description: {
      kind: 'encap',
      name: 'vxlan',
      properties: [],
      needs: ['ip', 'port'],
      vnetid: { min: 0, max: 16777215 },
      carriesVlanTag: true,
      format,
      usualPort: 4789,
    },
  },
  lookup: lookup([path]),
  refused: { type: 'refused', call: 1, refusal: { property: 'listen_ip', reason: 'is a multicast address' } },
  accepted: { type: 'refused', call: 1, refusal: null },
  bound: { type: 'bound', call: 1, socket: { listenIp: '2001:db8::1', listenPort: 4789 } },
  created: { type: 'created', call: 1, created: { mode: 'point', point: { ip: '192.0.2.1' }, group: true, resolves: false, servesDhcp: false } },
  failed: { type: 'failed', call: 1, error: { code: 'FILES_INVALID', message: 'x', details: { line: 1 }, advice: 'y' } },
  setTarget: { type: 'setTarget', instance: 1, mac, destination: {} },
  announce: { type: 'announce', instance: 1, ip: '10.0.0.1', mac, toMacs: [mac] },
  watchAddresses: { type: 'watchAddresses', instance: 1 },
  unwatchAddresses: { type: 'unwatchAddresses', instance: 1 },
  log: { type: 'log', instance: 1, level: 'warn', message: 'x' },
};

const notFromHost = {
  'an unknown type': { type: 'exec' },
  'no type': {},
  'an unknown field': { type: 'ready', more: 1 },
  'a MAC that is not canonical': { type: 'invalidate', instance: 1, mac: '2:0:0:0:0:1' },
  'an address that is not canonical': answers({ id: 1, kind: 'found', destination: { ip: '2001:DB8::1' } }),
  'a mapped address': answers({ id: 1, kind: 'found', destination: { ip: '::ffff:192.0.2.1' } }),
  'port 0': answers({ id: 1, kind: 'found', destination: { port: 0 } }),
  'port 65536': answers({ id: 1, kind: 'found', destination: { port: 65536 } }),
  'an id that is no number': answers({ id: '1', kind: 'drop', reason: '' }),
  'a negative id': answers({ id: -1, kind: 'drop', reason: '' }),
  'a reason beyond the bound': answers({ id: 1, kind: 'drop', reason: 'x'.repeat(MAX_REASON_BYTES + 1) }),
  'too many answers': answers(...new Array(MAX_BATCH_ANSWERS + 1).fill({ id: 1, kind: 'drop', reason: '' })),
  'an undefined where exact': answers({ id: 1, kind: 'resolved', mac, destination: null }),
  'a property that is none': lookup([{ ...path, type: 'file' }]),
  'a property twice': lookup([path, path]),
  'a path that nobody set': lookup([{ ...path, default: '/etc/shadow' }]),
  'a format with a long template': {
    ...fromHost.encap,
    description: { ...fromHost.encap.description, format: { ...format, template: new Array(65).fill(0) } },
  },
};

describe('checkFromHost', () => {
  it.each(Object.entries(fromHost))('lets %s pass unchanged', (_, message) => expect(checkFromHost(message)).toEqual({ ok: true, value: message }));

  it.each(Object.entries(notFromHost))('refuses %s', (_, message) =>
    expect(checkFromHost(message)).toEqual({ ok: false, reason: expect.any(String) }),
  );

  it('says why a path property may have no default', () => {
    expect(checkFromHost(notFromHost['a path that nobody set'])).toMatchObject({ reason: expect.stringContaining('only a person may name a file') });
  });

  it('is total, and its reason is one short line', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('answers', 'log', 'failed', 'x'),
        fc.jsonValue(),
        fc.dictionary(fc.string(), fc.jsonValue()),
        (type, answer, more) => {
          const checked = checkFromHost({ ...more, type, instance: 1, answers: [answer] });
          if (!checked.ok) expect(checked.reason).toMatch(/^[^\n]{1,255}$/);
        },
      ),
    );
  });

  it('has room in a line for a full batch of the longest answers', () => {
    const longest = { id: Number.MAX_SAFE_INTEGER, kind: 'drop', reason: '\u0001'.repeat(MAX_REASON_BYTES) };
    const batch = answers(...new Array(MAX_BATCH_ANSWERS).fill(longest));
    expect(checkFromHost(batch).ok).toBe(true);
    expect(JSON.stringify(batch).length).toBeLessThan(MAX_LINE_BYTES);
  });
});

describe('checkToHost', () => {
  it.each([
    {
      type: 'create',
      call: 1,
      instance: 1,
      spec: { plugin: 'files', vnetid: 100, needs: ['ip', 'port'], usualPort: 4789, values: { config: '/x', n: 1, b: true } },
    },
    {
      type: 'asks',
      instance: 1,
      asks: [
        { id: 1, kind: 'lookup', to: mac, from: mac, etherType: 0x800, vlan: 7 },
        { id: 2, kind: 'resolve', ip: 'fe80::1' },
      ],
    },
    { type: 'fileData', file: 1, data: 'eA==', last: true },
  ])('lets $type pass unchanged', (message) => expect(checkToHost(message)).toEqual({ ok: true, value: message }));

  it('refuses what is none', () => expect(checkToHost({ type: 'asks', instance: 1, asks: [{ id: 1, kind: 'route' }] }).ok).toBe(false));
});

describe('failures', () => {
  it('carry code, message, details and advice there and back', () => {
    const error = new OverlayError('FILES_INVALID', 'files/config: line 1', { details: { line: 1 }, advice: 'correct it' });
    expect(errorOf(failureOf(error, 'OTHER'))).toMatchObject({
      code: 'FILES_INVALID',
      message: error.message,
      details: { line: 1 },
      advice: 'correct it',
    });
  });

  it('are made of anything that was thrown', () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    expect(failureOf(new OverlayError('A', 'x', { details: circular }), 'B')).toEqual({ code: 'A', message: 'x', details: {} });
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.constant(undefined), fc.constant(null)), fc.boolean(), (thrown, wrap) => {
        const error = failureOf(wrap ? new Error(String(thrown)) : thrown, 'PLUGIN_FAILED');
        expect(checkFromHost({ type: 'failed', call: 1, error }).ok).toBe(true);
      }),
    );
  });
});

describe('failures of plugins that keep no rules', () => {
  it.each<[string, unknown]>([
    ['a code in lower case', new OverlayError('my-error', 'x')],
    ['a code that is none', new OverlayError(undefined as never, 'x')],
    ['details that are a list', new OverlayError('A', 'x', { details: [1] as never })],
    ['details that are text', new OverlayError('A', 'x', { details: 'y' as never })],
    ['details that JSON leaves out', new OverlayError('A', 'x', { details: (() => 1) as never })],
    ['advice that is no text', new OverlayError('A', 'x', { advice: 7 as never })],
    ['a message that is no text', Object.assign(new OverlayError('A', 'x'), { message: 7 })],
    ['what has no text at all', Object.create(null)],
    ['a symbol', Symbol('x')],
  ])('are taken with %s', (_, thrown) => {
    const error = failureOf(thrown, 'PLUGIN_FAILED');
    expect(checkFromHost({ type: 'failed', call: 1, error: JSON.parse(JSON.stringify(error)) })).toMatchObject({ ok: true });
  });
});

describe('cutText', () => {
  it('keeps whole characters within the bound, and all of a text that fits', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(40), (text, bytes) => {
        const cut = cutText(text, bytes);
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(bytes);
        expect(text.toWellFormed().startsWith(cut)).toBe(true);
        if (Buffer.byteLength(text) <= bytes) expect(cut).toBe(text.toWellFormed());
        else expect(bytes - Buffer.byteLength(cut)).toBeLessThan(4);
      }),
    );
  });
});
