// What overlayd tells systemd of itself, and a control socket that systemd has made.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { statusLine } from '../../../src/core/daemon/service-manager.ts';

it.each([
  [0, 0, 'STATUS=no overlays'],
  [1, 0, 'STATUS=1 overlay'],
  [3, 1, 'STATUS=3 overlays, 1 degraded'],
])('%i overlays, %i degraded: %s', (overlays, degraded, line) => {
  expect(statusLine(overlays, degraded)).toBe(line);
});

const SERVER = fileURLToPath(new URL('../../helpers/serve-inherited.ts', import.meta.url));

it('a control socket that somebody else has made is answered on, and stays as it was when overlayd ends', async () => {
  const folder = mkdtempSync(join(tmpdir(), `overlayadm-${process.pid}-`));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'overlayd.sock');
  const maker = createServer().listen(join(folder, 'made'));
  await once(maker, 'listening');
  const { fd } = (maker as unknown as { readonly _handle: { readonly fd: number } })._handle;
  const child = spawn(process.execPath, [SERVER, path], { stdio: ['pipe', 'pipe', 'inherit', fd] }) as ChildProcessWithoutNullStreams;
  onTestFinished(() => void child.kill('SIGKILL'));
  // Out of the way of the maker, who would remove the name when it closes, and would take connections while it does not.
  renameSync(join(folder, 'made'), path);
  await new Promise((resolve) => maker.close(resolve));
  const before = statSync(path);
  expect(String((await once(child.stdout, 'data'))[0])).toBe('serves\n');
  const socket = createConnection(path);
  socket.write('{"jsonrpc":"2.0","id":1,"method":"hello","params":{"version":"1"}}\n');
  expect(JSON.parse(String((await once(socket, 'data'))[0]))).toMatchObject({ id: 1, result: { version: '0.1.0' } });
  socket.destroy();
  child.stdin.end();
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect([statSync(path).ino, statSync(path).mode]).toEqual([before.ino, before.mode]);
});
