// The engine as a real thread, with the real addon, as overlayd runs it (from dist).
import { closeSync, existsSync, openSync, readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadPacketIo } from '@overlayadm/packetio';
import vxlan from '@overlayadm/plugin-vxlan';
import { describe, expect, it } from 'vitest';
import { Calls, type RunningEngine } from '../../../src/core/daemon/engine-thread.ts';
import { waitFor } from '../../helpers/wait.ts';

/** The worker is JavaScript: only the built program has it. */
const built = new URL('../../../dist/core/daemon/engine-thread.js', import.meta.url);
const { startEngineThread } = (await import(fileURLToPath(built))) as typeof import('../../../src/core/daemon/engine-thread.ts');

const io = loadPacketIo();
const descriptors = (): number => readdirSync('/proc/self/fd').length;
/** What stop() may take: the engine's wait in the kernel is bounded by 500 ms. */
const STOP_MS = 3000;

async function stopInTime(engine: RunningEngine): Promise<void> {
  const late = setTimeout(STOP_MS, 'late', { ref: false });
  expect(await Promise.race([engine.stop(), late])).toBeUndefined();
}

describe('the engine thread', () => {
  it('is there to be tested', () => expect(existsSync(built)).toBe(true));

  it('answers calls in order, stops when it is told to, and leaves no descriptor', async () => {
    const before = descriptors();
    const engine = startEngineThread(io)(() => undefined);
    const answers = await Promise.all([1, 2, 3].map((port) => engine.call({ op: 'counters', port })));
    expect(answers).toEqual([undefined, undefined, undefined]);
    let failed = false;
    void engine.failed.then(() => {
      failed = true;
    });
    await stopInTime(engine);
    await waitFor(() => descriptors() <= before, 2000, 'the descriptors to be closed');
    expect(failed).toBe(false);
  });

  it('that cannot watch a descriptor refuses the one call, and goes on', async () => {
    const engine = startEngineThread(io)(() => undefined);
    const { format } = vxlan;
    // A regular file cannot be polled: EPERM of epoll_ctl(2).
    const file = openSync(fileURLToPath(import.meta.url), 'r');
    const opening = engine.call({ op: 'openMux', spec: { mux: 1, encap: 'vxlan', format, socket: file, sendSockets: [file] } });
    await expect(opening).rejects.toMatchObject({
      code: 'ENGINE_REFUSED',
      message: expect.stringContaining('EPERM'),
      advice: expect.stringMatching(/./),
    });
    closeSync(file);
    const spec = { port: 1, mux: 1, tap: 0, vnetid: 1, mtu: 1400, header: new Uint8Array(8), carriesVlanTag: true } as const;
    const port = engine.call({ op: 'openPort', spec: { ...spec, group: false, resolves: false, servesDhcp: false } });
    await expect(port).rejects.toMatchObject({ code: 'ENGINE_REFUSED', message: expect.stringContaining('mux 1') });
    expect(await engine.call({ op: 'counters', port: 1 })).toBeUndefined();
    await stopInTime(engine);
  });

  it('that dies says so, fails its calls, and can still be stopped at once', async () => {
    const before = descriptors();
    const engine = startEngineThread(io)(() => undefined);
    // No message of overlayd.
    engine.send({ op: 'answers', answers: undefined as never });
    const call = engine.call({ op: 'counters', port: 1 });
    await expect(call).rejects.toMatchObject({ code: 'ENGINE_GONE', advice: expect.stringMatching(/./) });
    expect((await engine.failed).message).toContain('not iterable');
    // Long after the thread has ended: so it is when the rest of overlayd has been taken down first.
    await setTimeout(300);
    await stopInTime(engine);
    await expect(engine.call({ op: 'counters', port: 1 })).rejects.toMatchObject({ code: 'ENGINE_GONE' });
    expect(() => engine.send({ op: 'answers', answers: [] })).toThrow('the packet engine has ended');
    // The poll descriptor ends with the process, which does not outlive its engine.
    expect(descriptors()).toBeLessThanOrEqual(before + 1);
  });
});

describe('Calls', () => {
  it('gives each answer to the one who asked, and none twice', async () => {
    const calls = new Calls();
    const numbers: number[] = [];
    const all = [calls.begin((call) => numbers.push(call)), calls.begin((call) => numbers.push(call))];
    const done = (call: number | undefined, result: boolean): void => calls.done({ op: 'done', call: call ?? 0, result });
    done(numbers[1], true);
    done(numbers[0], false);
    done(numbers[0], true);
    done(4711, true);
    expect(await Promise.all(all)).toEqual([false, true]);
  });

  it('fails those that wait and those that come later, and sends nothing for these', async () => {
    const calls = new Calls();
    const waiting = calls.begin(() => undefined);
    calls.fail(new Error('over'));
    await expect(waiting).rejects.toThrow('over');
    let sent = false;
    await expect(
      calls.begin(() => {
        sent = true;
      }),
    ).rejects.toThrow('over');
    expect(sent).toBe(false);
  });
});
