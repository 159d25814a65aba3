// The fake host keeps what the contract promises of a host.
import type { IpAddress, MacAddress } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { fakeHost } from '../src/fake-host.ts';
import { settled, turns } from '../src/testing.ts';

const text = (result: IteratorResult<Uint8Array>): string => (result.done === true ? 'done' : new TextDecoder().decode(result.value));

describe('fakeHost', () => {
  it('gives the contents of a file now and after each change', async () => {
    const host = fakeHost({ files: { config: 'one' } });
    const contents = host.file('config')[Symbol.asyncIterator]();
    expect(text(await contents.next())).toBe('one');
    const second = contents.next();
    expect((await settled(second, 20)).kind).toBe('pending');
    await host.write('config', 'two');
    expect(text(await second)).toBe('two');
    expect(host.openFiles()).toBe(1);
    await host.fail('config', new Error('gone'));
    await expect(contents.next()).rejects.toThrow('gone');
    expect(host.openFiles()).toBe(0);
    expect(host.calls).toEqual([{ call: 'file', property: 'config' }]);
  });
  it('gives the addresses of VNICs now and after each change', async () => {
    const [one, two] = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as [MacAddress, MacAddress];
    const host = fakeHost({ localAddresses: [{ mac: one, ips: [] }] });
    const lists = host.localAddresses()[Symbol.asyncIterator]();
    expect(await lists.next()).toEqual({ done: false, value: [{ mac: one, ips: [] }] });
    const second = lists.next();
    expect((await settled(second, 20)).kind).toBe('pending');
    await host.setLocalAddresses([{ mac: two, ips: ['10.0.0.2' as IpAddress] }]);
    expect(await second).toEqual({ done: false, value: [{ mac: two, ips: ['10.0.0.2'] }] });
    await lists.return?.();
    expect((await fakeHost().localAddresses()[Symbol.asyncIterator]().next()).value).toEqual([]);
    expect([host.openFiles(), host.calls]).toEqual([0, [{ call: 'localAddresses' }]]);
  });
  it('ends an iteration that waits', async () => {
    const contents = fakeHost().file('config')[Symbol.asyncIterator]();
    const first = contents.next();
    await contents.return?.();
    expect(text(await first)).toBe('done');
  });
  it('moves time only when it is told to', async () => {
    const host = fakeHost();
    const woken: string[] = [];
    const abort = new AbortController();
    void host.clock.sleep(20).then(() => woken.push('late'));
    void host.clock.sleep(10).then(() => woken.push('early'));
    void host.clock.sleep(10, abort.signal).catch(() => woken.push('aborted'));
    abort.abort();
    await turns();
    expect(woken).toEqual(['aborted']);
    await host.advance(20);
    expect(woken).toEqual(['aborted', 'early', 'late']);
    expect(host.clock.now()).toBe(20);
  });
  it('records what it is asked for', () => {
    const host = fakeHost({ vnetid: 7, usualPort: 4789 });
    const mac = '02:00:00:00:00:01' as MacAddress;
    host.invalidateTarget(mac);
    host.degrade('no answer');
    host.restore();
    host.log.warn('slow');
    expect([host.vnetid, host.usualPort]).toEqual([7, 4789]);
    expect(host.calls).toEqual([
      { call: 'invalidateTarget', mac },
      { call: 'degrade', reason: 'no answer' },
      { call: 'restore' },
      { call: 'log', level: 'warn', message: 'slow' },
    ]);
  });
});
