// VNICs that are ports of a VLAN, in the real kernel: what the wire shows, what gets in, who reaches whom, and how long it lasts.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { LinkInfo } from '../../src/core/linux/types.ts';
import { type Host, Lab, run, whyNoNamespaces } from './linux-host.ts';

const execute = promisify(execFile);
const reason = whyNoNamespaces();
const [MAC_A, MAC_B, MAC_C, MAC_D] = ['02:08:20:00:00:0a', '02:08:20:00:00:0b', '02:08:20:00:00:0c', '02:08:20:00:00:0d'] as const;
const FAR_MAC = '020820ffff01';
const GUEST_IP = '0a000001';
/** Last byte of the address that asks by the first of several requests. */
const FIRST_ASKER = 100;
const BROADCAST = 'ffffffffffff';
const plain = (mac: string): string => mac.replaceAll(':', '');

/** Sends every frame of argv[2...], in hexadecimal, over the link argv[1], once as what it is and once as if it were IPv4; prints what became of it. */
const SEND_RAW = `
import errno, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
for frame in sys.argv[2:]:
    for protocol in (0, 0x0800):
        try:
            s.sendto(bytes.fromhex(frame), (sys.argv[1], protocol))
            print('sent')
        except OSError as error:
            print(errno.errorcode[error.errno])
`;
/** Prints, in hexadecimal, the ARP packets that reach the protocols of the guest: behind the ingress hook. */
const LISTEN_ARP = `
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
s.bind((sys.argv[1], 0x0806))
print('listening', flush=True)
while True:
    print(s.recv(2000).hex(), flush=True)
`;
const RECEIVER = `require('net').createServer((peer) => {
  const sum = require('crypto').createHash('sha256');
  peer.on('data', (data) => sum.update(data));
  peer.on('end', () => { console.log(sum.digest('hex')); process.exit(); });
}).listen(7000, '10.0.0.2', () => console.log('listening'));`;
const SENDER = `const data = require('crypto').randomBytes(1 << 20);
console.log(require('crypto').createHash('sha256').update(data).digest('hex'));
require('net').connect(7000, '10.0.0.2', function () { this.end(data); });`;

/** A request for the guest's address; `tag` is what stands before the EtherType. */
const arpRequest = (to: string, tag: string, from: number): string =>
  `${to}${FAR_MAC}${tag}08060001080006040001${FAR_MAC}0a0000${from.toString(16).padStart(2, '0')}000000000000${GUEST_IP}`;

async function pings(netns: string, address: string): Promise<boolean> {
  const args = ['netns', 'exec', netns, 'ping', '-n', '-c', '1', '-W', '0.4', address];
  return await execute('ip', args).then(
    () => true,
    () => false,
  );
}

describe.skipIf(reason !== undefined)(`VLAN tags${reason === undefined ? '' : ` (${reason})`}`, () => {
  const lab = new Lab();
  const children: ChildProcess[] = [];
  let red = '';
  const ip = (netns: string, ...args: string[]): string => run('ip', '-n', netns, ...args);
  const inside = (netns: string, ...args: string[]): string => run('ip', 'netns', 'exec', netns, ...args);

  /** A namespace without IPv6, so that nothing is sent there but what the test sends. */
  function quiet(label: string): string {
    const netns = lab.addNamespace(label);
    inside(netns, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
    return netns;
  }
  async function guest(host: Host, label: string, vid: number | null, mac: string, last: number, overlay = 'overlay0'): Promise<string> {
    const netns = quiet(label);
    await host.call('addVnic', 'vnic0', overlay, mac, 1400, netns, vid);
    ip(netns, 'addr', 'add', `10.0.0.${last}/24`, 'dev', 'vnic0');
    return netns;
  }
  async function tap(host: Host, name = 'overlay0'): Promise<number> {
    const fd = await host.call<number>('openTap', name);
    await host.call('prepareOverlayLink', name, 1400);
    return fd;
  }
  /** Reads the TAP until a frame is `last`, or at most two seconds. */
  async function framesUntil(host: Host, fd: number, last: (frame: string) => boolean): Promise<string[]> {
    const frames: string[] = [];
    for (let round = 0; round < 100 && !frames.some(last); round++) {
      await pause(20);
      frames.push(...(await host.call<string[]>('frames', fd)));
    }
    return frames;
  }
  /** Starts a program that says when it listens; what it prints is appended to `lines`. */
  async function listener(netns: string, command: string, ...args: readonly string[]): Promise<{ child: ChildProcess; lines: () => string[] }> {
    const child = spawn('ip', ['netns', 'exec', netns, command, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    let printed = '';
    child.stdout.on('data', (data) => {
      printed += String(data);
    });
    while (!printed.includes('listening')) await once(child.stdout, 'data');
    return { child, lines: () => printed.split('\n').slice(1, -1) };
  }
  async function transfer(from: string, to: string): Promise<{ sent: string; received: string }> {
    const { child, lines } = await listener(to, process.execPath, '-e', RECEIVER);
    const ended = once(child, 'close');
    const { stdout } = await execute('ip', ['netns', 'exec', from, process.execPath, '-e', SENDER]);
    await ended;
    return { sent: stdout.trim(), received: lines().join() };
  }

  beforeEach(() => {
    red = quiet('red');
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await lab.remove();
  });

  describe.each([true, false])('TCX %s', (tcx) => {
    let host: Host;
    beforeEach(() => {
      host = lab.addHost(red, { tcx });
    });

    test('the wire shows the tag; only frames with exactly this tag get in, whatever their priority', async () => {
      const fd = await tap(host);
      const blue = await guest(host, 'blue', 5, MAC_A, 1);
      expect(await host.call('link', 'vnic0', blue)).toMatchObject({ up: true, ours: true, mtu: 1400 });
      expect(await host.call('vlanOf', 'vnic0', blue)).toBe(5);
      await pings(blue, '10.0.0.9');
      const asked = await framesUntil(host, fd, (frame) => frame.startsWith(BROADCAST));
      expect(asked[0]?.slice(0, 36)).toBe(`${BROADCAST}${plain(MAC_A)}81000005${'0806'}`);
      const { lines } = await listener(blue, 'python3', '-c', LISTEN_ARP, 'vnic0');
      const wrong = ['', '81000006', '81000000', '81000ffa', '88a80005', '8100000581000005', '8100000588a80006'];
      const right = ['81000005', '8100e005', '81001005'];
      const tags = [...wrong, ...right];
      /** Replies of the guest as the index of the tag they answer: the address they go to says it. */
      const answered = (frames: readonly string[]): number[] =>
        frames
          .filter((frame) => frame.startsWith(`${FAR_MAC}${plain(MAC_A)}810000050806`))
          .map((frame) => Number.parseInt(frame.slice(90, 92), 16) - FIRST_ASKER);
      for (const to of [plain(MAC_A), BROADCAST]) {
        for (const [index, tag] of tags.entries()) await host.call('inject', fd, arpRequest(to, tag, FIRST_ASKER + index));
        const frames = await framesUntil(host, fd, (frame) => answered([frame])[0] === tags.length - 1);
        expect(answered(frames)).toEqual(right.map((tag) => tags.indexOf(tag)));
        const untagged = right.map((tag) => arpRequest(to, '', FIRST_ASKER + tags.indexOf(tag)));
        await vi.waitFor(() => expect(lines().filter((frame) => frame.startsWith(to))).toEqual(untagged));
      }
    });

    test('what the guest tags itself does not leave', async () => {
      const fd = await tap(host);
      const blue = await guest(host, 'blue', 5, MAC_A, 1);
      const frame = (tag: string, text: string): string => `${FAR_MAC}${plain(MAC_A)}${tag}88b5${text.repeat(46)}`;
      const own = ['81000005', '81000006', '81000000', '88a80005', '8100000681000005'].map((tag) => frame(tag, 'ee'));
      const printed = inside(blue, 'python3', '-c', SEND_RAW, 'vnic0', ...own, frame('', 'aa'));
      expect(printed.trim().split('\n')).toEqual([...own.flatMap(() => ['ENOBUFS', 'ENOBUFS']), 'sent', 'sent']);
      expect(await host.call('frames', fd)).toEqual([frame('81000005', 'aa'), frame('81000005', 'aa')]);
    });

    test('VNICs of one overlay meet within a VLAN and not across, by unicast and broadcast', async () => {
      await tap(host);
      const [five, other, six, none] = [
        await guest(host, 'a', 5, MAC_A, 1),
        await guest(host, 'b', 5, MAC_B, 2),
        await guest(host, 'c', 6, MAC_C, 3),
        await guest(host, 'd', null, MAC_D, 4),
      ] as const;
      expect(await host.call('vlanOf', 'vnic0', none)).toBeNull();
      const matrix = (): Promise<boolean[]> =>
        Promise.all([
          pings(five, '10.0.0.2'),
          pings(other, '10.0.0.1'),
          pings(five, '10.0.0.3'),
          pings(five, '10.0.0.4'),
          pings(six, '10.0.0.4'),
          pings(none, '10.0.0.1'),
        ]);
      const reached = [true, true, false, false, false, false];
      expect(await matrix()).toEqual(reached);
      const addresses = [MAC_A, MAC_B, MAC_C, MAC_D].map((mac, index) => [`10.0.0.${index + 1}`, mac] as const);
      for (const netns of [five, other, six, none]) {
        for (const [address, mac] of addresses) ip(netns, 'neigh', 'replace', address, 'lladdr', mac, 'dev', 'vnic0', 'nud', 'permanent');
      }
      expect(await matrix()).toEqual(reached);
    });

    test('TCP between two overlays, frame by frame through TAPs: checksums and segments are whole', async () => {
      const [one, other] = [await tap(host), await tap(host, 'overlay1')];
      const blue = await guest(host, 'blue', 4094, MAC_A, 1);
      const green = await guest(host, 'green', 4094, MAC_B, 2, 'overlay1');
      await host.call('relay', one, other);
      const { sent, received } = await transfer(blue, green);
      expect(received).toBe(sent);
    });

    test('tags outlive the process that attached them, over a real link with offloads, and leave no descriptor open', async () => {
      const far = quiet('far');
      ip(red, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth0', 'netns', far);
      for (const netns of [red, far]) ip(netns, 'link', 'set', 'veth0', 'up');
      ip(far, 'addr', 'add', '10.0.0.9/24', 'dev', 'veth0');
      const farHost = lab.addHost(far, { tcx });
      await Promise.all([host, farHost].map((each) => each.call('links')));
      const before = readdirSync(`/proc/${host.pid}/fd`).length;
      const blue = await guest(host, 'blue', 5, MAC_A, 1, 'veth0');
      const green = await guest(farHost, 'green', 5, MAC_B, 2, 'veth0');
      expect(readdirSync(`/proc/${host.pid}/fd`).length).toBe(before);
      await Promise.all([host.kill(), farHost.kill()]);
      expect(existsSync(`/proc/${host.pid}`)).toBe(false);
      expect(await pings(blue, '10.0.0.2')).toBe(true);
      expect(await pings(blue, '10.0.0.9')).toBe(false);
      const { sent, received } = await transfer(blue, green);
      expect(received).toBe(sent);
    });
  });

  test('without TCX there is a filter for each direction, and a VNIC that lost one has no VLAN', async () => {
    const host = lab.addHost(red, { tcx: false });
    await tap(host);
    await host.call('addVnic', 'vnic0', 'overlay0', MAC_A, 1400, null, 7);
    for (const direction of ['ingress', 'egress']) {
      expect(inside(red, 'tc', 'filter', 'show', 'dev', 'vnic0', direction)).toContain('overlayadm_7 direct-action');
    }
    expect(await host.call('vlanOf', 'vnic0')).toBe(7);
    inside(red, 'tc', 'filter', 'del', 'dev', 'vnic0', 'egress');
    expect(await host.call('vlanOf', 'vnic0')).toBeNull();
  });

  test.each([true, false])('a kernel that refuses the programs leaves no link (TCX %s)', async (tcx) => {
    const host = lab.addHost(red, { tcx, prefix: ['setpriv', '--inh-caps=-all', '--bounding-set=-sys_admin,-bpf'] });
    await tap(host);
    await expect(host.call('addVnic', 'vnic0', 'overlay0', MAC_A, 1400, null, 5)).rejects.toEqual(
      expect.objectContaining({ code: 'VLAN_TAGS_REFUSED', message: expect.stringContaining('vnic0'), advice: expect.stringContaining('CAP_BPF') }),
    );
    expect(await host.call('link', 'vnic0')).toBeNull();
    expect(await host.call<LinkInfo>('addVnic', 'vnic0', 'overlay0', MAC_A, 1400)).toMatchObject({ up: true });
  });
});
