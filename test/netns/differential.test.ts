// Both drivers are given the same random script of frames, answers, changes and faults: deliveries, listings and counters have to be the same.
import { isDeepStrictEqual } from 'node:util';
import type { MacAddress } from '@overlayadm/api';
import { beforeAll, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { arpRequest, frame, macOf } from '../helpers/frames.ts';
import { type Datapath, type Host, type Namespace, twoHosts } from '../helpers/netns.ts';
import { framesOf, hexOf, listenFrames, sendFrames } from '../helpers/netns-frames.ts';
import { addAddress, changes, childrenOf, control, counters, createOverlay, createVnic, linkPlugin, PATIENCE_MS } from '../helpers/netns-overlay.ts';
import { neighbourSolicitation, vxlan } from '../helpers/netns-packets.ts';
import { sendUdp } from '../helpers/netns-traffic.ts';
import type { Running } from '../helpers/process.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { waitFor } from '../helpers/wait.ts';

const SEEDS = [1, 2, 3];
const PHASES = 8;
/** In which phases the plugin host is killed: while nothing is asked, and while questions are out. A host that dies often is started late. */
const KILLED = { idle: 2, asked: 5 };
const FRAMES = 40;
const VNETID = 9;
const GUESTS = { blue: macOf('02:08:20:00:00:01'), green: macOf('02:08:20:00:00:02') };
/** On the other side of the underlay; frames to VNICs come from it. */
const FAR = macOf('02:08:20:00:00:99');
/** Destinations in the order of the plugin. */
const PLACES = ['192.0.2.2', '192.0.2.12', '192.0.2.13'];
/** Another address of the host with the overlay, at which it does not listen. */
const ASTRAY = '192.0.2.77';
const QUIET_MS = 400;
const TAG_BYTES = 4;

/** All the ways in which the drivers may differ. The script sends nothing of which the deliveries would; counters are left out of the comparison. */
const DIFFERENCES: readonly { readonly what: string; readonly why: string; readonly counters: readonly RegExp[] }[] = [
  {
    what: 'datagrams of an unknown VNI, short ones, and those for another address of the host',
    why: 'the kernel drops them without a counter for the reason, or the filter does',
    counters: [/^mux\./, /^vxlan\./, /^rx\.short$/],
  },
  { what: 'reserved bits below Linux 6.14', why: 'such a kernel drops frames with any; not sent', counters: [] },
  { what: "frames with the overlay's own source MAC", why: 'the kernel drops what comes back to it; not sent', counters: [] },
  { what: 'order of group frames', why: 'macvlan defers them; only that of unicast frames is compared', counters: [] },
  { what: 'unicast ARP to known targets', why: 'the kernel forwards it as any frame; not sent', counters: [] },
  {
    what: 'bytes of VLAN tags that are sent',
    why: 'a kernel link counts from the IP header on; tx.bytes is compared apart, at most 4 a frame',
    counters: [/^tx\.bytes$/],
  },
  {
    what: 'counters that only one driver has',
    why: 'rows, punted frames, repairs, and what only a kernel link or only a TAP counts',
    counters: [/^punt\./, /^row\./, /^filter\./, /^link\./, /^rx\.refused$/, /^tx\.injected-bytes$/],
  },
];

/** Not of the drivers: which frames came before an answer and which after it. The sums are compared. */
const TIMING = { 'refused in all': ['lookup.refused', 'target.refused'], '': ['lookup.queued'] } as const;

interface Side {
  readonly datapath: Datapath;
  readonly ours: Host;
  readonly peer: Host;
  readonly guests: Readonly<Record<keyof typeof GUESTS, Namespace>>;
  readonly client: Client;
  readonly far: Running;
  readonly near: Readonly<Record<keyof typeof GUESTS, Running>>;
}

/** Prints every VXLAN datagram with the address that it came to: each receiver of the underlay. */
const FAR_LISTEN = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 16 * 1024 * 1024)
s.setsockopt(socket.IPPROTO_IP, 8, 1)
s.bind(('0.0.0.0', 4789))
print('listening', flush=True)
while True:
    data, extra, _, _ = s.recvmsg(70000, 256)
    to = socket.inet_ntoa(extra[0][2][8:12])
    print(to, data.hex(), flush=True)
`;

/** mulberry32: numbers from 0 to 1, the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Change = readonly string[] | 'kill plugin host' | 'flush rows';

interface Phase {
  readonly changes: readonly Change[];
  readonly frames: Readonly<Record<keyof typeof GUESTS, readonly Uint8Array[]>>;
  /** Datagrams for the host, with the address they go to. */
  readonly datagrams: readonly { readonly to: string; readonly hex: string }[];
  /** The plugin host is killed while questions are out. */
  readonly killAfter: boolean;
}

const hex2 = (value: number): string => value.toString(16).padStart(2, '0');

/** Everything that happens with this seed. A MAC that is refused is asked for in one phase only: refusals are remembered for a second. */
function scriptOf(seed: number): readonly Phase[] {
  const random = randomOf(seed);
  const below = (end: number): number => Math.floor(random() * end);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T;
  const chance = (of: number): boolean => random() < of;
  let text = 0;
  const target = (where: number, how: number, number: number, phase = 255): MacAddress =>
    macOf(`02:${hex2(0xa0 + seed)}:${hex2(phase)}:${hex2(where)}:${hex2(how)}:${hex2(number)}`);
  const lasting = [0, 1, 2].flatMap((where) => [0, 1].flatMap((how) => [0, 1].map((number) => target(where, how, number))));
  const sized = (to: MacAddress, from: MacAddress): Uint8Array => {
    const plain = frame(to, from, `${seed}.${text++} `.padEnd(pick([46, 60, 200, 1000, 1380]), 'x'));
    if (!chance(0.15)) return plain;
    // IEEE 802.1Q.
    return Uint8Array.of(...plain.subarray(0, 12), 0x81, 0, below(8) << 5, 1 + below(4000), ...plain.subarray(12));
  };
  return Array.from({ length: PHASES }, (_, phase): Phase => {
    const fresh = [0, 1, 2].flatMap((where) => [0, 1, 2, 3].map((how) => target(where, how, 0, phase)));
    const changed: Change[] = [];
    for (let left = below(4); left > 0; left--) {
      const mac = pick(lasting);
      const change = below(6);
      if (change <= 1) changed.push(['-s', `${mac}=${pick(PLACES)}:4789`]);
      else if (change <= 3) changed.push(['-s', `${mac}=drop`]);
      else if (change === 4) changed.push(['-d', mac]);
      else changed.push(['-f']);
    }
    if (chance(0.3)) changed.push('flush rows');
    if (phase === KILLED.idle) changed.push('kill plugin host');
    let questions = 0;
    const frames = { blue: [] as Uint8Array[], green: [] as Uint8Array[] };
    while (frames.blue.length + frames.green.length < FRAMES) {
      const guest = pick(['blue', 'green'] as const);
      const from = GUESTS[guest];
      const kind = random();
      if (kind < 0.8) {
        const to = kind < 0.05 ? GUESTS[guest === 'blue' ? 'green' : 'blue'] : pick(chance(0.5) ? lasting : fresh);
        for (let more = 1 + below(5); more > 0; more--) frames[guest].push(sized(to, from));
      } else if (kind < 0.87) {
        // Each question once in a phase, some to nobody.
        const last = below(2) * 128 + 16 * phase + (questions++ % 16);
        frames[guest].push(arpRequest(from, '10.8.0.1', `10.8.${seed}.${last}`));
      } else if (kind < 0.94) {
        const last = (below(2) * 128 + 16 * phase + (questions++ % 16)).toString(16);
        frames[guest].push(neighbourSolicitation(from, 'fe80::1', `fd00:8::${last}`));
      } else frames[guest].push(sized(macOf(pick(['01:00:5e:00:00:fb', '33:33:00:00:00:fb', 'ff:ff:ff:ff:ff:ff'])), from));
    }
    const datagrams: { to: string; hex: string }[] = [];
    for (let left = 4 + below(8); left > 0; left--) {
      const kind = random();
      const inner = sized(pick([GUESTS.blue, GUESTS.green, macOf('ff:ff:ff:ff:ff:ff')]), FAR);
      if (kind < 0.1) datagrams.push({ to: '192.0.2.1', hex: hexOf(vxlan(VNETID + 1, inner)) });
      else if (kind < 0.2) datagrams.push({ to: ASTRAY, hex: hexOf(vxlan(VNETID, inner)) });
      else if (kind < 0.3) datagrams.push({ to: '192.0.2.1', hex: hexOf(vxlan(VNETID, inner.subarray(0, 5))) });
      else datagrams.push({ to: '192.0.2.1', hex: hexOf(vxlan(VNETID, inner)) });
    }
    return { changes: changed, frames, datagrams, killAfter: phase === KILLED.asked };
  });
}

const isGroup = (hex: string): boolean => (Number.parseInt(hex.slice(0, 2), 16) & 1) === 1;
/** The order within a flow, unicast frames from one MAC to another, and group frames as a multiset. */
function flowsOf(frames: readonly string[]): Readonly<Record<string, readonly string[]>> {
  const flows: Record<string, string[]> = {};
  for (const hex of frames) {
    // Of one of the group all that counts is that it came.
    const flow = isGroup(hex) ? 'group' : hex.slice(0, 24);
    flows[flow] ??= [];
    flows[flow].push(hex);
  }
  flows.group?.sort();
  return flows;
}

const TITLE = 'both drivers, one script';
skipUnless({ root: true, tun: true, vxlan: true, commands: ['bridge', 'python3'] })(TITLE, () => {
  let sides: readonly [Side, Side];

  async function build(datapath: Datapath): Promise<Side> {
    const [ours, peer] = await twoHosts({ datapath, v6: false });
    linkPlugin(ours, 'scripted-lookup');
    for (const place of PLACES.slice(1)) await addAddress(peer, 'under0', `${place}/32`);
    for (const place of PLACES.slice(1)) await ours.must('ip', ['route', 'add', `${place}/32`, 'dev', 'under0']);
    await addAddress(ours, 'under0', `${ASTRAY}/32`);
    await peer.must('ip', ['route', 'add', `${ASTRAY}/32`, 'dev', 'under0']);
    const properties = { 'vxlan/listen_ip': ours.v4, 'scripted/ips': PLACES.join(';') };
    await createOverlay(ours, { name: 'overlay0', search: 'scripted', vnetid: VNETID, properties });
    const guest = async (name: keyof typeof GUESTS): Promise<Namespace> => {
      // Guests say nothing by themselves.
      const where = await ours.vnicNamespace(name);
      await where.must('sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1']);
      await createVnic(ours, { name: `${name}0`, overlay: 'overlay0', mac: GUESTS[name], addresses: [], netns: name });
      // Which groups a macvlan lets in that nobody has asked for depends on where it lies in memory (drivers/net/macvlan.c, mc_hash()).
      await where.must('ip', ['link', 'set', `${name}0`, 'allmulticast', 'on']);
      return where;
    };
    const guests = { blue: await guest('blue'), green: await guest('green') };
    const far = peer.start('python3', ['-c', FAR_LISTEN]);
    await far.printed('listening');
    const near = { blue: await listenFrames(guests.blue, 'blue0'), green: await listenFrames(guests.green, 'green0') };
    return { datapath, ours, peer, guests, client: await control(ours), far, near };
  }

  beforeAll(async () => {
    sides = [await build('kernel'), await build('tap')];
  });

  const hostsOf = ({ ours }: Side): number[] => childrenOf(ours.daemonPid() ?? 0);
  async function killHost(side: Side): Promise<void> {
    const [pid] = await waitFor(() => (hostsOf(side).length === 1 ? hostsOf(side) : undefined), PATIENCE_MS, 'one plugin host');
    process.kill(pid ?? 0, 'SIGKILL');
    await waitFor(() => !hostsOf(side).includes(pid ?? 0) && hostsOf(side).length === 1, PATIENCE_MS, 'another plugin host');
  }

  /** What the command said, when it was one. */
  async function change(side: Side, what: Change): Promise<string> {
    if (what === 'kill plugin host') await killHost(side);
    else if (what === 'flush rows') await flushRows(side);
    // To forget a target that is not known is refused.
    else return (await side.ours.overlayadm('modify-overlay', ...what, 'overlay0')).stderr;
    return '';
  }
  async function flushRows(side: Side): Promise<void> {
    if (side.datapath !== 'kernel') return;
    const rows = async (): Promise<string> =>
      (await side.ours.must('bridge', ['fdb', 'show', 'dev', 'overlay0'])).stdout.split('\n').sort().join('\n');
    const before = await rows();
    await side.ours.must('bridge', ['fdb', 'flush', 'dev', 'overlay0']);
    await waitFor(async () => (await rows()) === before, PATIENCE_MS, 'the rows to be put back');
  }

  async function play(side: Side, phase: Phase): Promise<readonly string[]> {
    const said: string[] = [];
    for (const what of phase.changes) said.push(await change(side, what));
    await sendFrames(side.guests.blue, 'blue0', phase.frames.blue);
    await sendFrames(side.guests.green, 'green0', phase.frames.green);
    for (const address of [ASTRAY, side.ours.v4]) {
      const all = phase.datagrams.filter(({ to }) => to === address).map(({ hex }) => hex);
      if (all.length > 0) await sendUdp(side.peer, address, 4789, ...all);
    }
    if (phase.killAfter) await killHost(side);
    return said;
  }

  /** What has come to each receiver. */
  const deliveries = ({ far, near }: Side) => ({
    far: Object.fromEntries(
      PLACES.map((place) => {
        const lines = framesOf(far).filter((line) => line.startsWith(`${place} `));
        return [place, flowsOf(lines.map((line) => line.slice(place.length + 1 + 16)))];
      }),
    ),
    blue: flowsOf(framesOf(near.blue)),
    green: flowsOf(framesOf(near.green)),
  });

  /** Frames with a VLAN tag among those that came behind so many. */
  const taggedAtFar = ({ far }: Side, from: number): number =>
    framesOf(far)
      .slice(from)
      .filter((line) => line.slice(line.indexOf(' ') + 1 + 16).slice(24, 28) === '8100').length;

  /** Without those that may differ. */
  function comparable(changed: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
    const patterns = DIFFERENCES.flatMap(({ counters }) => counters);
    const found = Object.fromEntries(Object.entries(changed).filter(([name]) => !patterns.some((pattern) => pattern.test(name))));
    for (const [sum, names] of Object.entries(TIMING)) {
      const total = names.reduce((all, name) => all + (found[name] ?? 0), 0);
      for (const name of names) delete found[name];
      if (sum !== '' && total > 0) found[sum] = total;
    }
    return found;
  }

  async function seen(side: Side, before: Readonly<Record<string, number>>) {
    const { ours, client } = side;
    const { status, details } = await client.call('overlay.health', { name: 'overlay0' });
    return {
      deliveries: deliveries(side),
      counters: comparable(changes(before, await counters(client, 'overlay0'))),
      targets: (await ours.mustOverlayadm('show-overlay', '-t', 'overlay0')).stdout,
      faults: { status, details },
    };
  }

  /** Waits until both are quiet and the same, or have been quiet for long. */
  async function compare(before: readonly Readonly<Record<string, number>>[], what: string): Promise<void> {
    const look = () => Promise.all(sides.map((side, index) => seen(side, before[index] ?? {})));
    let last = JSON.stringify(await look());
    let since = performance.now();
    const settled = async (): Promise<boolean> => {
      const [kernel, tap] = await look();
      const now = JSON.stringify([kernel, tap]);
      if (now !== last) since = performance.now();
      last = now;
      return performance.now() - since > QUIET_MS && isDeepStrictEqual(kernel, tap) && tap?.faults.status === 'ONLINE';
    };
    await waitFor(settled, PATIENCE_MS).catch(() => undefined);
    const [kernel, tap] = await look();
    expect(kernel, what).toEqual(tap);
    expect(tap?.faults.status).toBe('ONLINE');
  }

  test.each(SEEDS)(
    'seed %i: deliveries, targets, health and counters are the same after each phase',
    async (seed) => {
      const before = await Promise.all(sides.map(({ client }) => counters(client, 'overlay0')));
      const received = sides.map(({ far }) => framesOf(far).length);
      for (const [number, phase] of scriptOf(seed).entries()) {
        const [atKernel, atTap] = await Promise.all(sides.map((side) => play(side, phase)));
        expect(atKernel).toEqual(atTap);
        await compare(before, `seed ${seed}, phase ${number}: ${JSON.stringify(phase.changes)}`);
      }
      // It has said something at all.
      for (const [index, { far }] of sides.entries()) expect(framesOf(far).length - (received[index] ?? 0)).toBeGreaterThan(PHASES * 10);
      const [kernel, tap] = await Promise.all(
        sides.map(async ({ client }, index) => changes(before[index] ?? {}, await counters(client, 'overlay0'))),
      );
      const missing = (tap?.['tx.bytes'] ?? 0) - (kernel?.['tx.bytes'] ?? 0);
      expect(missing % TAG_BYTES).toBe(0);
      expect(missing).toBeGreaterThanOrEqual(0);
      expect(missing).toBeLessThanOrEqual(TAG_BYTES * taggedAtFar(sides[0], received[0] ?? 0));
      console.log(`seed ${seed}: ${JSON.stringify(kernel)}`);
    },
    120_000,
  );
});
