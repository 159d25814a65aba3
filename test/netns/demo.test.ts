// `npm run demo`: tells its story to the end, and leaves nothing behind, whichever way it ends.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { namespace } from '../helpers/netns.ts';
import { start } from '../helpers/process.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { waitFor } from '../helpers/wait.ts';

const demo = fileURLToPath(new URL('../../tools/demo.mjs', import.meta.url));
const transfer = fileURLToPath(new URL('../../tools/demo/transfer.mjs', import.meta.url));
const namesIn = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder) : []);

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}

/** What the demo with this pid has made and not removed: namespaces, folders, processes that know its folder. */
function leftBy(pid: number): readonly string[] {
  const folder = `overlayadm-test-${pid}-`;
  const processes = namesIn('/proc').filter((name) => /^\d+$/.test(name) && environmentOf(name).includes(folder));
  return [
    ...namesIn('/run/netns').filter((name) => name.startsWith(`oa${pid}x`)),
    ...namesIn(tmpdir()).filter((name) => name.startsWith(folder)),
    ...processes.map((name) => `process ${name}`),
  ];
}

const ownLinks = (): readonly string[] => namesIn('/sys/class/net').filter((name) => /^(under|overlay|vnic|vxlan)\d/.test(name));

skipUnless({ root: true, tun: true, commands: ['ping'] })('the demo', () => {
  it('builds an overlay on two hosts, then with a kernel device, and shows both', async () => {
    const before = ownLinks();
    const running = start(process.execPath, [demo]);
    const { status, stdout, stderr } = await running.end();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const host of ['a', 'b']) {
      expect(stdout).toMatch(new RegExp(`^${host}# overlayadm create-overlay -e vxlan -s files -v 100 -p \\S+\\noverlay0$`, 'm'));
      for (const options of ['', ' -t', ' -f']) expect(stdout).toContain(`${host}# overlayadm show-overlay${options}\nLINK`);
    }
    expect(stdout).toMatch(/^overlay0 +2:8:20:0:0:2 +192\.0\.2\.2:4789$/m);
    expect(stdout).toMatch(/^overlay0 +2:8:20:0:0:1 +192\.0\.2\.1:4789$/m);
    expect(stdout.match(/^overlay0 +ONLINE +-$/gm)).toHaveLength(2);
    expect(stdout.match(/^3 packets transmitted, 3 received, 0% packet loss/gm)).toHaveLength(3);
    expect(stdout).toMatch(/[1-9]\d* (Mbits\/sec|Mb\/s)/);
    expect(leftBy(running.pid)).toEqual([]);
    expect(ownLinks()).toEqual(before);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('leaves nothing behind after %s', async (signal) => {
    const running = start(process.execPath, [demo]);
    await running.printed('create-vnic', 30_000);
    await waitFor(() => leftBy(running.pid).some((what) => what.startsWith('process')), 5_000, 'overlayd');
    running.kill(signal);
    const { status, stderr } = await running.end();
    expect({ status, stderr }).toEqual({ status: 1, stderr: `\ndemo: stopped (${signal}); nothing is left\n` });
    expect(leftBy(running.pid)).toEqual([]);
  });

  it('leaves nothing behind when nobody reads what it prints', async () => {
    const running = start('sh', ['-c', `"$0" "$1" | sed '/create-overlay/q'`, process.execPath, demo]);
    await running.end();
    expect(running.stderr).toContain('nothing is left');
    const pid = Number(/ip netns add oa(\d+)xa/.exec(running.stdout)?.[1]);
    expect(pid).toBeGreaterThan(0);
    expect(leftBy(pid)).toEqual([]);
  });

  it('has a transfer of its own for machines without iperf3', async () => {
    const net = await namespace('t');
    const receiver = net.start(process.execPath, [transfer, 'receive']);
    await receiver.printed('listening');
    const sent = await net.must(process.execPath, [transfer, 'send', '127.0.0.1']);
    expect(sent.stdout).toMatch(/^[1-9]\d* MB in \d\.\d\d s: [1-9]\d* Mb\/s\n$/);
    expect((await receiver.end()).status).toBe(0);
  });
});

describe('the demo without rights', () => {
  it('says in one line what it needs', async () => {
    const isRoot = process.geteuid?.() === 0;
    const drop = isRoot ? ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', '--'] : [];
    const [program = '', ...args] = [...drop, process.execPath, demo];
    const { status, stdout, stderr } = await start(program, args).end();
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^demo: needs root \(CAP_NET_ADMIN and CAP_SYS_ADMIN\).*\n$/);
  });
});
