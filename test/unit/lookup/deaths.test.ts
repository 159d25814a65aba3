// Real plugin hosts that die in every way at every point of a lookup; time is the test's own, so nothing waits for a hang.
import { resolve } from 'node:path';
import { duplexPair } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import type { IpAddress, MacAddress } from '@overlayadm/api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemFiles } from '../../../src/core/lookup/files.ts';
import { HostLink } from '../../../src/core/lookup/host-link.ts';
import { type HostLaunch, systemRights, systemSpawn } from '../../../src/core/lookup/host-process.ts';
import { createPluginHosts } from '../../../src/core/lookup/hosts.ts';
import type { Answer, Ask, InstanceSpec, LookupInstance, PluginHosts } from '../../../src/core/lookup/types.ts';
import { LineSplitter } from '../../../src/core/rpc/framing.ts';
import { HOST_MISSED_PINGS, HOST_PING_INTERVAL_MS, HOST_RESTART_MS } from '../../../src/core/util/limits.ts';
import type { Log } from '../../../src/core/util/log.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { skipUnless } from '../../helpers/requirements.ts';
import { waitFor } from '../../helpers/wait.ts';

/** What another process does is waited for this long, ms; two cores are shared. */
const PATIENCE_MS = 30_000;
/** Small, so that a host runs out of it soon. MiB. */
const HEAP_MIB = 48;
/** How far the clock goes at a time, ms: no further than the shortest wait that is looked at. */
const STEP_MS = HOST_RESTART_MS.first / 2;

/** In the order of the fixture: the name of a way to die, what is said of it, and how it is said when half a line is out. */
const WAYS = [
  ['kill', /signal SIGKILL/],
  ['stop', /it hangs/],
  ['loop', /it hangs/],
  ['exit', /exit status 7/],
  ['throw', /exit status 1|not one JSON object/],
  ['reject', /exit status 1|not one JSON object/],
  ['memory', /signal SIG(ABRT|TRAP|ILL)/],
  ['rubbish', /not one JSON object/],
  ['line', /more than \d+ bytes/],
] as const;
type Way = (typeof WAYS)[number][0];
const NOW = 0;
const IN_AN_ANSWER = 1;
const AFTER_AN_ANSWER = 2;

const hex = (number: number): string => number.toString(16).padStart(2, '0');
const target = (number: number): MacAddress => `02:aa:00:00:${hex(number >> 8)}:${hex(number & 255)}` as MacAddress;
const held = (number: number): MacAddress => `02:ee:00:00:00:${hex(number)}` as MacAddress;
const release = '02:ef:00:00:00:01' as MacAddress;
const death = (way: Way, moment: number): MacAddress => `02:dd:00:00:${hex(WAYS.findIndex(([name]) => name === way))}:${hex(moment)}` as MacAddress;

/** What goes over the channel of one host. */
class Watched {
  readonly package: string;
  readonly spawnedAt: number;
  readonly asked: number[] = [];
  readonly created: string[] = [];
  isGone = false;
  /** Pings that are not answered. */
  pings = 0;

  constructor(launch: HostLaunch, spawnedAt: number) {
    this.package = launch.package;
    this.spawnedAt = spawnedAt;
  }

  told(text: string): void {
    for (const line of text.split('\n').filter(Boolean)) {
      const message = JSON.parse(line);
      if (message.type === 'ping') this.pings++;
      if (message.type === 'asks') this.asked.push(...message.asks.map(({ id }: Ask) => id));
      if (message.type === 'create') this.created.push(JSON.stringify(message.spec.values));
    }
  }

  said(line: string): void {
    if (line.includes('"pong"')) this.pings--;
  }
}

let lastId = 0;

/** One overlay, as the engine and its user see it. */
class Overlay {
  instance: LookupInstance | undefined;
  readonly answers = new Map<number, Answer[]>();
  readonly health: string[] = [];
  readonly downAt: number[] = [];
  /** Given up when the host dies, so that its successor is not asked for it. */
  readonly abortWhenDown: number[] = [];

  ask(...macs: readonly MacAddress[]): readonly number[] {
    const asks = macs.map((to): Ask => ({ id: ++lastId, kind: 'lookup', to, from: '02:00:00:00:00:ff' as MacAddress, etherType: 0x800 }));
    this.instance?.ask(asks);
    return asks.map(({ id }) => id);
  }

  answered(ids: readonly number[]): Promise<unknown> {
    const missing = (): number => ids.filter((id) => !this.answers.has(id)).length;
    return waitFor(() => missing() === 0, PATIENCE_MS, `answers to ${ids.length} lookups`);
  }

  /** Each of them once, and nothing to any other. */
  take(): ReadonlyMap<number, Answer> {
    const taken = new Map([...this.answers].map(([id, answers]) => [id, answers.length === 1 ? answers[0] : answers] as [number, Answer]));
    this.answers.clear();
    return taken;
  }
}

const EVIL = 'overlayadm-test-evil';
const OTHER = 'overlayadm-test-slow-lookup';
const provider = (name: string, folder: string, owner: string) =>
  ({ kind: 'lookup', name, package: owner, version: '1.0.0', root: resolve('test/fixtures/plugins', folder), module: './index.js', api: 1 }) as const;

/** Two overlays of the package that dies, and one of another package. */
class Rig {
  readonly clock = new FakeClock();
  readonly processes: Watched[] = [];
  readonly lines: string[] = [];
  readonly hosts: PluginHosts;
  readonly first = new Overlay();
  readonly second = new Overlay();
  readonly other = new Overlay();
  #deaths = 0;

  constructor() {
    const spawn = systemSpawn(() => ({ ...systemRights(), heapMib: HEAP_MIB }));
    const note = (_: object, message: string): void => void this.lines.push(message);
    const log: Log = { debug: note, info: note, warn: note, error: note };
    this.hosts = createPluginHosts({
      runtime: {
        discover: async () => ({ providers: [provider('evil', 'evil', EVIL), provider('slow', 'slow-lookup', OTHER)], problems: [] }),
        spawn: (launch, output) => {
          const host = spawn(launch, output);
          const watched = new Watched(launch, this.clock.now());
          this.processes.push(watched);
          const write = host.stream.write.bind(host.stream) as (text: string) => boolean;
          host.stream.write = (text: string) => {
            watched.told(text);
            return write(text);
          };
          const splitter = new LineSplitter();
          host.stream.on('data', (chunk: Buffer) => splitter.push(chunk).lines.forEach((line) => void watched.said(line)));
          host.exited.then(() => {
            watched.isGone = true;
          });
          return host;
        },
        stamp: async () => '',
        describeRights: () => undefined,
        uidOf: () => 0,
        files: systemFiles,
      },
      clock: this.clock,
      log,
    });
  }

  async create(overlay: Overlay, plugin: string, values: InstanceSpec['values']): Promise<void> {
    const ignore = (): void => {};
    overlay.instance = await this.hosts.createInstance(
      { overlay: 'overlay0', plugin, vnetid: 1, needs: ['ip', 'port'], values, setters: {}, localAddresses: () => [] },
      {
        answered: (answers) => {
          for (const answer of answers) overlay.answers.set(answer.id, [...(overlay.answers.get(answer.id) ?? []), answer]);
        },
        setTarget: ignore,
        invalidateTarget: ignore,
        announce: ignore,
        degraded: (reason) => void overlay.health.push(`plugin: ${reason}`),
        restored: ignore,
        hostDown: (reason) => {
          overlay.health.push(reason);
          overlay.downAt.push(this.clock.now());
          overlay.instance?.abort(overlay.abortWhenDown.splice(0));
        },
        hostUp: () => void overlay.health.push('up'),
        outdated: () => undefined,
      },
    );
  }

  async start(): Promise<void> {
    await this.create(this.first, 'evil', { dest_port: 1111 });
    await this.create(this.second, 'evil', { dest_port: 2222 });
    await this.create(this.other, 'slow', { dest_ip: '192.0.2.3', dest_port: 3333, delay_ms: 0 });
  }

  get evil(): readonly Watched[] {
    return this.processes.filter((each) => each.package === EVIL);
  }

  /** How often the question was put to a host of the package that dies. */
  asks(id: number): number {
    return this.evil.flatMap(({ asked }) => asked).filter((asked) => asked === id).length;
  }

  /** Moves the clock a little; every host but the one that is about to die gets the time to answer what it was sent. */
  async step(ms = STEP_MS): Promise<void> {
    await this.clock.advance(ms);
    const well = this.processes.filter((each) => each.package !== EVIL && !each.isGone);
    await waitFor(() => well.every(({ pings }) => pings <= 0), PATIENCE_MS, 'pongs of the host that is well');
  }

  /** Until overlayd has noticed; the overlays of the package say why, at the same time, and their host is gone. */
  async down(way: Way, why: RegExp): Promise<void> {
    const isDown = (): boolean => this.second.health.length > 0;
    const until = this.clock.now() + HOST_PING_INTERVAL_MS * (HOST_MISSED_PINGS + 2);
    if (way === 'stop' || way === 'loop') while (!isDown() && this.clock.now() < until) await this.step();
    else await waitFor(isDown, PATIENCE_MS, `the end of the host by ${way}`);
    const text = new RegExp(`^plugin host of ${EVIL} failed: .*(${why.source})`);
    for (const { health } of [this.first, this.second]) expect(health.shift()).toMatch(text);
    expect(this.lines.filter((line) => text.test(line)).length).toBeGreaterThan(0);
    this.lines.length = 0;
    await waitFor(() => this.evil.every(({ isGone }) => isGone), PATIENCE_MS, 'the end of the process');
  }

  /** The back-off of so many deaths in a row, to the ms; then both overlays have an instance with their values again. */
  async back(): Promise<void> {
    const wait = Math.min(HOST_RESTART_MS.first * 2 ** this.#deaths++, HOST_RESTART_MS.max);
    const before = this.evil.length;
    const downAt = this.second.downAt.at(-1) ?? 0;
    while (this.evil.length === before && this.clock.now() < downAt + 2 * wait) await this.step();
    const [successor, ...more] = this.evil.slice(before);
    expect([successor?.spawnedAt, more.length]).toEqual([downAt + wait, 0]);
    await waitFor(() => this.first.health.length > 0 && this.second.health.length > 0, PATIENCE_MS, 'a host that is back');
    // Only the first: a lookup that kills may have killed again.
    for (const { health } of [this.first, this.second]) expect(health.shift()).toBe('up');
    expect(successor?.created.toSorted()).toEqual(['{"dest_port":1111}', '{"dest_port":2222}']);
  }

  /** The other package: the same process as ever, it answers, and nobody told its overlay of anything. */
  async othersNoticeNothing(): Promise<void> {
    const ids = this.other.ask(target(7));
    await this.other.answered(ids);
    const found = { id: ids[0], kind: 'found', destination: { ip: '192.0.2.3', port: 3333 } };
    expect([[...this.other.take().values()], this.other.health]).toEqual([[found], []]);
    expect(this.processes.filter((each) => each.package === OTHER).map(({ isGone }) => isGone)).toEqual([false]);
  }

  /** All answered, each once and rightly, and asked at most `most` times. */
  async found(overlay: Overlay, ids: readonly number[], most = 2): Promise<void> {
    await overlay.answered(ids);
    const destination = { ip: '192.0.2.1' as IpAddress, port: overlay === this.first ? 1111 : 2222 };
    expect(overlay.take()).toEqual(new Map(ids.map((id) => [id, { id, kind: 'found', destination }])));
    expect(Math.max(...ids.map((id) => this.asks(id)))).toBeLessThanOrEqual(most);
  }
}

skipUnless({ commands: ['setpriv'] })('a plugin host that dies of', () => {
  describe.each(WAYS)('%s', (way, why) => {
    let rig: Rig;
    beforeAll(async () => {
      rig = new Rig();
      await rig.start();
    }, PATIENCE_MS);
    afterAll(() => rig.hosts.stop(), PATIENCE_MS);

    it('before it is asked: lookups wait for its successor and are put to it once', { timeout: PATIENCE_MS }, async () => {
      const { first, second } = rig;
      await rig.found(first, first.ask(death(way, AFTER_AN_ANSWER)));
      await rig.down(way, why);
      const waiting = [first.ask(target(1), target(2)), second.ask(target(1))] as const;
      await rig.othersNoticeNothing();
      expect([first.answers.size, second.answers.size]).toEqual([0, 0]);
      await rig.back();
      await rig.found(first, waiting[0], 1);
      await rig.found(second, waiting[1], 1);
    });

    it('while lookups are outstanding, twice: they are answered as crashed, and asked no third time', { timeout: PATIENCE_MS }, async () => {
      const { first, second } = rig;
      const [ours, theirs] = [first.ask(held(1), death(way, NOW), held(2)), second.ask(held(1))];
      await rig.down(way, why);
      await rig.othersNoticeNothing();
      expect([first.answers.size, second.answers.size]).toEqual([0, 0]);
      await rig.back();
      await waitFor(() => theirs.every((id) => rig.asks(id) === 2), PATIENCE_MS, 'the second ask');
      await rig.down(way, why);
      const crashed = (ids: readonly number[]) => new Map(ids.map((id) => [id, { id, kind: 'drop', reason: 'lookup.crashed' }]));
      expect([first.take(), second.take()]).toEqual([crashed(ours), crashed(theirs)]);
      await rig.back();
      expect([...ours, ...theirs].map((id) => rig.asks(id))).toEqual([2, 2, 2, 2]);
      await rig.found(first, first.ask(target(1)), 1);
      await rig.found(second, second.ask(target(1)), 1);
    });

    it('in the middle of an answer: what was not answered is asked again', { timeout: PATIENCE_MS }, async () => {
      const { first, second } = rig;
      const [before, [deadly = 0], after, theirs] = [
        first.ask(target(1)),
        first.ask(death(way, IN_AN_ANSWER)),
        first.ask(target(2)),
        second.ask(held(1)),
      ];
      first.abortWhenDown.push(deadly);
      await rig.down(way, why);
      await rig.othersNoticeNothing();
      await rig.back();
      await rig.found(first, [...before, ...after]);
      await rig.found(second, [...theirs, ...second.ask(release)]);
    });

    it('in the middle of a batch: every lookup of it is answered once', { timeout: PATIENCE_MS }, async () => {
      const { first, second } = rig;
      const some = Array.from({ length: 300 }, (_, number) => target(number));
      const [before, [deadly = 0], after, theirs] = [
        first.ask(...some),
        first.ask(death(way, NOW)),
        first.ask(...some.map((_, number) => target(300 + number))),
        second.ask(...some),
      ];
      first.abortWhenDown.push(deadly);
      await rig.down(way, why);
      await rig.othersNoticeNothing();
      await rig.back();
      await rig.found(first, [...before, ...after]);
      await rig.found(second, theirs);
    });

    it('while one more instance starts: that create fails, the others are made anew', { timeout: PATIENCE_MS }, async () => {
      const { first, second } = rig;
      const [ours, theirs] = [first.ask(held(1)), second.ask(held(1))];
      const third = new Overlay();
      const creating = rig.create(third, 'evil', { deed: `die-${way}`, dest_port: 3 });
      const failed = creating.catch((error: unknown) => error);
      await waitFor(() => rig.evil.at(-1)?.created.some((values) => values.includes('die-')), PATIENCE_MS, 'the create');
      await rig.down(way, why);
      expect(await failed).toMatchObject({ code: 'PLUGIN_FAILED', message: expect.stringMatching(why) });
      expect([third.health, third.instance]).toEqual([[], undefined]);
      await rig.othersNoticeNothing();
      await rig.back();
      await rig.found(first, [...ours, ...first.ask(release)]);
      await rig.found(second, [...theirs, ...second.ask(release)]);
    });
  });
});

it('a host that ends while it is written to is reported with how it ended, not with the error of the write', async () => {
  const [stream] = duplexPair();
  const { promise: exited, resolve: exit } = Promise.withResolvers<string>();
  const seen: string[] = [];
  const kill = (): void => void seen.push('kill');
  new HostLink('test', { pid: undefined, stream, exited, kill }, new FakeClock(), {
    report: () => undefined,
    down: (reason) => void seen.push(reason),
  });
  stream.destroy(new Error('write EPIPE'));
  await turn();
  expect(seen).toEqual(['kill']);
  exit('exit status 7');
  await turn();
  expect(seen).toEqual(['kill', 'kill', 'exit status 7']);
});
