// Real plugin hosts of packages that do harm while they are imported, described or created: one clear line, and nobody else notices.
import { cpSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemFiles } from '../../../src/core/lookup/files.ts';
import { type HostProcess, systemRights, systemSpawn } from '../../../src/core/lookup/host-process.ts';
import { createPluginHosts } from '../../../src/core/lookup/hosts.ts';
import type { LookupInstance, PluginHosts, PluginList, Provider } from '../../../src/core/lookup/types.ts';
import { HOST_CALL_TIMEOUT_MS, HOST_MISSED_PINGS, HOST_PING_INTERVAL_MS, HOST_WARM_MS, PLUGIN_LIST_MS } from '../../../src/core/util/limits.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { skipUnless } from '../../helpers/requirements.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';
import { waitFor } from '../../helpers/wait.ts';
import { found, lookup, specOf, Told } from './rig.ts';

/** What another process does is waited for this long, ms; two cores are shared. */
const PATIENCE_MS = 30_000;
/** Small, so that a host soon runs out of it. MiB. */
const SMALL = { heapMib: 48, dataMib: 896 };
const SLOW = resolve('test/fixtures/plugins/slow-lookup');
const TARGET = { dest_ip: '192.0.2.1', dest_port: 7, delay_ms: 0 };

interface Started {
  readonly root: string;
  isReady: boolean;
  isGone: boolean;
  /** Pings that are not answered. */
  pings: number;
}

/** One overlay of another package beside it. */
class Rig {
  readonly clock = new FakeClock();
  readonly started: Started[] = [];
  readonly hosts: PluginHosts;
  readonly told = new Told();
  readonly root = join(temporaryFolder(), 'hostile');
  #other: LookupInstance | undefined;
  #asked = 0;

  constructor() {
    cpSync(resolve('test/fixtures/plugins/hostile'), this.root, { recursive: true });
    const provider = (name: string, root: string): Provider => ({
      kind: 'lookup',
      name,
      package: name,
      version: '1',
      root,
      module: 'index.js',
      api: 1,
    });
    const spawn = systemSpawn(() => ({ ...systemRights(), ...SMALL }));
    this.hosts = createPluginHosts({
      runtime: {
        discover: async () => ({ providers: [provider('hostile', this.root), provider('slow', SLOW)], problems: [] }),
        spawn: (launch, output) => {
          const process = spawn(launch, output);
          this.#watch(launch.root, process);
          return process;
        },
        stamp: async () => '',
        describeRights: () => undefined,
        uidOf: () => 0,
        files: systemFiles,
      },
      clock: this.clock,
      log: silentLog,
    });
  }

  async start(): Promise<void> {
    this.#other = await this.hosts.createInstance(specOf('overlay0', TARGET, {}, 'slow'), this.told.events);
  }

  does(way: string, moment: string): void {
    writeFileSync(join(this.root, 'case.js'), `export default ${JSON.stringify({ way, moment })};`);
  }

  get hostile(): readonly Started[] {
    return this.started.filter(({ root }) => root === this.root);
  }

  #watch(root: string, { stream, exited }: HostProcess): void {
    const started: Started = { root, isReady: false, isGone: false, pings: 0 };
    this.started.push(started);
    const write = stream.write.bind(stream) as (text: string) => boolean;
    stream.write = (text: string) => {
      if (text.includes('"ping"')) started.pings++;
      return write(text);
    };
    stream.on('data', (chunk: Buffer) => {
      if (chunk.includes('"ready"')) started.isReady = true;
      if (chunk.includes('"pong"')) started.pings = 0;
    });
    exited.then(() => {
      started.isGone = true;
    });
  }

  /** Moves the clock until `isOver`, no faster than the host that is well answers, and no further than `most` ms. */
  async passTime(most: number, isOver: () => boolean): Promise<void> {
    const isWell = (): boolean => this.started.every(({ root, pings }) => root === this.root || pings === 0);
    for (const end = this.clock.now() + most; !isOver() && this.clock.now() < end; ) {
      await this.clock.advance(HOST_PING_INTERVAL_MS / 2);
      await waitFor(isWell, PATIENCE_MS, 'the pong of a host that is well');
    }
  }

  async othersNoticeNothing(): Promise<void> {
    const id = ++this.#asked;
    this.#other?.ask([lookup(id)]);
    await waitFor(() => this.told.all.length > 0, PATIENCE_MS, 'an answer of the other plugin');
    expect(this.told.take()).toEqual([found(id)]);
    expect(this.started.filter(({ root }) => root === SLOW).map(({ isGone }) => isGone)).toEqual([false]);
  }
}

/** The way, and what is said of it. Only of the first, time has to pass. */
const HANGS = [
  ['loop', 'import', /it was not ready after 20000 ms/],
  ['never', 'import', /it was not ready after 20000 ms/],
  ['loop', 'describe', /it hangs: nothing heard/],
  ['loop', 'create', /it hangs: nothing heard/],
] as const;
const ENDS = [
  ['exit', /exit status 7/],
  ['throw', /hostile on command/],
  ['rubbish', /not one JSON object/],
  ['heap', /signal SIG(ABRT|TRAP|ILL)/],
  ['buffers', /allocat|signal SIG(ABRT|TRAP|ILL)/i],
] as const;
const CASES = [...HANGS, ...ENDS.flatMap(([way, why]) => (['import', 'describe', 'create'] as const).map((moment) => [way, moment, why] as const))];
const HANG_MS = (HOST_MISSED_PINGS + 2) * HOST_PING_INTERVAL_MS;

skipUnless({ commands: ['setpriv'] })('a package that does', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = new Rig();
    await rig.start();
  }, PATIENCE_MS);
  afterAll(() => rig.hosts.stop(), PATIENCE_MS);

  const hostilesAreGone = () => waitFor(() => rig.hostile.every(({ isGone }) => isGone), PATIENCE_MS, 'the end of the host');

  it.each(CASES)(
    '%s at %s fails with one line that says why, in bounded time, and harms nobody',
    { timeout: PATIENCE_MS },
    async (way, moment, why) => {
      rig.does(way, moment);
      const told = new Told();
      const spec = specOf('overlay1', {}, {}, 'hostile');
      const before = rig.hostile.length;
      let error: unknown;
      const call = (moment === 'create' ? rig.hosts.createInstance(spec, told.events) : rig.hosts.describeLookup('hostile')).catch(
        (reason: unknown) => {
          error = reason;
        },
      );
      if (way === 'loop' || way === 'never') {
        if (moment !== 'import') await waitFor(() => rig.hostile[before]?.isReady, PATIENCE_MS, 'the import');
        await rig.passTime(moment === 'import' ? HOST_CALL_TIMEOUT_MS : HANG_MS, () => error !== undefined);
      }
      await call;
      expect(error).toMatchObject({ code: expect.stringMatching(/^(PLUGIN_FAILED|LOOKUP_START_FAILED)$/), message: expect.stringMatching(why) });
      expect((error as Error).message).not.toMatch(/\p{Cc}/u);
      expect(told.take()).toEqual([]);
      await rig.othersNoticeNothing();
      await rig.passTime(2 * HOST_WARM_MS, () => false);
      await hostilesAreGone();
    },
  );

  it('loop at import has a row in the list that says so, beside the others', { timeout: PATIENCE_MS }, async () => {
    rig.does('loop', 'import');
    let list: PluginList | undefined;
    const listing = rig.hosts.list().then((all) => {
      list = all;
    });
    await waitFor(() => rig.hostile.some(({ isGone }) => !isGone), PATIENCE_MS, 'the host');
    await rig.passTime(PLUGIN_LIST_MS, () => list !== undefined);
    await listing;
    expect(list).toMatchObject({
      plugins: [
        { provider: { name: 'hostile' }, properties: undefined, problem: expect.stringContaining(`within ${PLUGIN_LIST_MS} ms`) },
        { provider: { name: 'slow' }, properties: expect.arrayContaining(['dest_ip']), problem: undefined },
      ],
    });
    await rig.othersNoticeNothing();
    await rig.passTime(HOST_CALL_TIMEOUT_MS, () => false);
    await hostilesAreGone();
  });
});

describe('the fixture', () => {
  it('does nothing by itself', async () => {
    const rig = new Rig();
    const description = await rig.hosts.describeLookup('hostile');
    expect(description).toEqual({ kind: 'lookup', name: 'hostile', properties: [] });
    await rig.hosts.stop();
  });
});
