// Changes of the file while an overlay lives: answers, shootdown, degraded and restored, and the end.
import { OverlayError } from '@overlayadm/api';
import { type FakeHost, fakeHost, type HostCall, requestFor } from '@overlayadm/compliance';
import { describe, expect, it } from 'vitest';
import files from '../src/index.ts';
import { CHANGES_PER_TURN, RETRY_MS, TURN_MS } from '../src/instance.ts';

const PATH = '/etc/overlayadm/map.json';
const signal = new AbortController().signal;
const mac = (last: number) => `02:00:00:00:00:0${last}` as Parameters<typeof requestFor>[0];

async function startedOn(config: string): Promise<{ host: FakeHost; lookup: (last: number) => Promise<unknown>; stop: () => Promise<void> }> {
  const host = fakeHost({ usualPort: 4789, files: { config } });
  const instance = files.create(['ip', 'port'], { config: PATH }, host);
  if (instance.mode !== 'dynamic') throw new TypeError('files is dynamic');
  await instance.start(signal);
  return { host, lookup: (last) => instance.lookup(requestFor(mac(last)), signal), stop: () => instance.stop() };
}

/** Calls since the file was opened, without the log. */
const told = (host: FakeHost): readonly HostCall[] => host.calls.filter(({ call }) => !['file', 'log', 'sleep'].includes(call));

const startError = async (host: FakeHost): Promise<OverlayError> => {
  const error: unknown = await files
    .create(['ip', 'port'], { config: PATH }, host)
    .start(signal)
    .catch((thrown: unknown) => thrown);
  if (!OverlayError.is(error)) throw new TypeError('an OverlayError was expected');
  return error;
};

describe('files at start', () => {
  it('names property, path, line and key of a mistake', async () => {
    const error = await startError(fakeHost({ files: { config: '{\n"de:ad:be:ef:00:01": {\n"port": 1, "ip": "nowhere"}}' } }));
    expect(error.code).toBe('FILES_INVALID');
    expect(error.message).toBe(`files/config: ${PATH}, line 3, de:ad:be:ef:00:01: 'ip' has to be an IP address of a host`);
    expect(error.details).toEqual({
      property: 'files/config',
      path: PATH,
      line: 3,
      mac: 'de:ad:be:ef:00:01',
      problem: "'ip' has to be an IP address of a host",
    });
  });
  it('names a mistake outside of every entry by its line', async () => {
    const error = await startError(fakeHost({ files: { config: 'root:x' } }));
    expect(error.message).toBe(`files/config: ${PATH}, line 1: expected a JSON object, which begins with {`);
    expect(error.details).not.toHaveProperty('mac');
  });
  it('passes on why the host cannot read the file, and what to do about it', async () => {
    const host = fakeHost();
    await host.fail('config', new OverlayError('FILE_REFUSED', 'not readable by joe', { advice: 'chmod it' }));
    const error = await startError(host);
    expect([error.code, error.message, error.advice]).toEqual([
      'FILES_UNREADABLE',
      `files/config: ${PATH} cannot be read (not readable by joe)`,
      'chmod it',
    ]);
  });
  it('does not start on a file that ends before it began', async () => {
    const host = fakeHost();
    await host.end('config');
    expect((await startError(host)).code).toBe('FILES_UNREADABLE');
  });
});

describe('files, when the file changes', () => {
  it('answers from the new file and corrects the target cache', async () => {
    const { host, lookup, stop } = await startedOn('{"2:0:0:0:0:1": {"ip": "10.0.0.1", "arp": "10.1.0.1"}, "2:0:0:0:0:2": {"ip": "10.0.0.2"}}');
    expect(await lookup(3)).toEqual({ kind: 'drop', reason: 'files.no-entry' });
    await host.write('config', '{"2:0:0:0:0:1": {"ip": "10.0.0.9"}, "2:0:0:0:0:3": {"ip": "10.0.0.3", "arp": "10.1.0.1"}}');
    expect(await lookup(1)).toEqual({ kind: 'found', destination: { ip: '10.0.0.9', port: 4789 } });
    expect(await lookup(2)).toEqual({ kind: 'drop', reason: 'files.no-entry' });
    expect(told(host)).toEqual([
      { call: 'invalidateTarget', mac: mac(1) },
      { call: 'invalidateTarget', mac: mac(3) },
      { call: 'invalidateTarget', mac: mac(2) },
      { call: 'announce', ip: '10.1.0.1', mac: mac(3) },
    ]);
    await stop();
    expect(host.openFiles()).toBe(0);
  });
  it('keeps the old answers while the new contents are wrong, and says so until they are right', async () => {
    const { host, lookup, stop } = await startedOn('{"2:0:0:0:0:1": {"ip": "10.0.0.1"}}');
    await host.write('config', '{"2:0:0:0:0:1":\n {"ip": 7}}');
    expect(await lookup(1)).toEqual({ kind: 'found', destination: { ip: '10.0.0.1', port: 4789 } });
    await host.write('config', '{"2:0:0:0:0:1": {"ip": "10.0.0.1"}}');
    await host.write('config', '{"2:0:0:0:0:1": {"ip": "10.0.0.1"} }');
    expect(told(host)).toEqual([
      {
        call: 'degrade',
        reason: `files/config: ${PATH}, line 2, 02:00:00:00:00:01: 'ip' has to be an IP address of a host; the mappings that were read before stay in use`,
      },
      { call: 'restore' },
    ]);
    await stop();
  });
  it('tries a file that cannot be read again, tells it once, and goes on when it is back', async () => {
    const { host, lookup, stop } = await startedOn('{"2:0:0:0:0:1": {"ip": "10.0.0.1"}}');
    await host.fail('config', new Error('no such file'));
    await host.advance(RETRY_MS);
    await host.advance(RETRY_MS);
    expect(host.calls.filter(({ call }) => call === 'file').length).toBe(3);
    expect(await lookup(1)).toEqual({ kind: 'found', destination: { ip: '10.0.0.1', port: 4789 } });
    await host.write('config', '{"2:0:0:0:0:1": {"ip": "10.0.0.2"}}');
    await host.advance(RETRY_MS);
    expect(told(host)).toEqual([
      { call: 'degrade', reason: `files/config: ${PATH} cannot be read (no such file); the mappings that were read before stay in use` },
      { call: 'invalidateTarget', mac: mac(1) },
      { call: 'restore' },
    ]);
    await stop();
  });
  it.each(['', '\n', '{"2:0:0:0:0:1": {"ip": "10.0'])('keeps the old answers while an editor is in the middle of writing: %j', async (half) => {
    const { host, lookup, stop } = await startedOn('{"2:0:0:0:0:1": {"ip": "10.0.0.1"}}');
    await host.write('config', half);
    expect(await lookup(1)).toEqual({ kind: 'found', destination: { ip: '10.0.0.1', port: 4789 } });
    expect(told(host).map(({ call }) => call)).toEqual(['degrade']);
    await host.write('config', '{"2:0:0:0:0:1": {"ip": "10.0.0.1"}}');
    expect(told(host).map(({ call }) => call)).toEqual(['degrade', 'restore']);
    await stop();
  });
  it('tells of a change only after the answers that were given before it have left', async () => {
    const { host, lookup, stop } = await startedOn('{"2:0:0:0:0:1": {"ip": "10.0.0.1"}}');
    const order: unknown[] = [];
    const invalidate = host.invalidateTarget;
    host.invalidateTarget = (target) => {
      order.push('told');
      invalidate(target);
    };
    // As a plugin host does: answers of one turn leave together, at the end of it.
    const writing = host.write('config', '{"2:0:0:0:0:1": {"ip": "10.0.0.9"}}');
    for (const _ of [1, 2]) lookup(1).then((answer) => setImmediate(() => order.push(answer)));
    await writing;
    expect(order.at(-1)).toBe('told');
    expect(order).toHaveLength(3);
    await stop();
  });
  it('answers from the old table while it reads a large file, and stops in the middle of it', async () => {
    const row = (number: number, ip: string): string => `"2:0:0:0:${(number >> 8).toString(16)}:${(number & 255).toString(16)}": {"ip": "${ip}"}`;
    const { host, lookup, stop } = await startedOn(`{${row(1, '10.0.0.1')}}`);
    const large = `{${Array.from({ length: 20_000 }, (_, number) => row(number, '10.0.0.9')).join(',')}}`;
    await host.write('config', large);
    expect(await lookup(1)).toEqual({ kind: 'found', destination: { ip: '10.0.0.1', port: 4789 } });
    await stop();
    expect(told(host)).toEqual([]);
  });
  it('tells many changes with pauses, for the answers to the questions of others, and is not restored before the last', async () => {
    const row = (number: number, ip: string): string => `"2:0:0:0:${(number >> 8).toString(16)}:${(number & 255).toString(16)}": {"ip": "${ip}"}`;
    const rows = (ip: string): string => `{${Array.from({ length: 2 * CHANGES_PER_TURN + 1 }, (_, number) => row(number, ip)).join(',')}}`;
    const { host, stop } = await startedOn(rows('10.0.0.1'));
    await host.write('config', '');
    await host.write('config', rows('10.0.0.2'));
    // Reading is done in pieces too.
    while (told(host).length === 1) await host.advance(0);
    const counts = [told(host).length - 1];
    for (let turn = 0; turn < 2; turn++) {
      await host.advance(TURN_MS);
      counts.push(told(host).length - 1);
    }
    // The last one is the restoring.
    expect(counts).toEqual([CHANGES_PER_TURN, 2 * CHANGES_PER_TURN, 2 * CHANGES_PER_TURN + 2]);
    expect(told(host).at(-1)).toEqual({ call: 'restore' });
    await stop();
  });
  it('gives up reading a large file at its start when it is told to', async () => {
    const rows = Array.from(
      { length: 20_000 },
      (_, number) => `"2:0:0:0:${(number >> 8).toString(16)}:${(number & 255).toString(16)}": {"ip": "10.0.0.1"}`,
    );
    const instance = files.create(['ip', 'port'], { config: PATH }, fakeHost({ usualPort: 4789, files: { config: `{${rows.join(',')}}` } }));
    const starting = instance.start(signal).catch((error: unknown) => error);
    await new Promise((resolve) => void setImmediate(resolve));
    await instance.stop();
    expect(await starting).toMatchObject({ code: 'FILES_ABORTED' });
  });
  it('stops while it waits to try again, and while the host does not let an iteration go', async () => {
    const waiting = await startedOn('{}');
    await waiting.host.fail('config', new Error('no such file'));
    await waiting.stop();
    const host = fakeHost();
    const stuck = { next: () => new Promise<never>(() => {}), return: () => new Promise<never>(() => {}) };
    const instance = files.create(['ip'], { config: PATH }, { ...host, file: () => ({ [Symbol.asyncIterator]: () => stuck }) });
    const starting = instance.start(signal).catch((error: unknown) => error);
    await instance.stop();
    expect(await starting).toMatchObject({ code: 'FILES_ABORTED' });
  });
});
