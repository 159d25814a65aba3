// Real plugin hosts: what they may do, and what becomes of overlayd when they misbehave.
import { spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { IpAddress, MacAddress } from '@overlayadm/api';
import { afterEach, describe, expect, it } from 'vitest';
import { systemFiles } from '../../../src/core/lookup/files.ts';
import { describeKept, type HostLaunch, hostCommand, systemRights, systemSpawn, whyNotServiceUser } from '../../../src/core/lookup/host-process.ts';
import { createPluginHosts } from '../../../src/core/lookup/hosts.ts';
import type { InstanceSpec, PluginHosts } from '../../../src/core/lookup/types.ts';
import { systemClock } from '../../../src/core/util/clock.ts';
import type { Log } from '../../../src/core/util/log.ts';
import { skipUnless } from '../../helpers/requirements.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';
import { waitFor } from '../../helpers/wait.ts';

const EVIL = resolve('test/fixtures/plugins/evil');
const mac = (last: string): MacAddress => `02:00:00:00:00:${last}` as MacAddress;
const launchOf = (root: string): HostLaunch => ({ package: 'overlayadm-test-evil', root, modules: ['./index.js'] });
const found = { id: 1, kind: 'found', destination: { ip: '192.0.2.1' as IpAddress } };

const open: PluginHosts[] = [];
afterEach(() => Promise.all(open.splice(0).map((hosts) => hosts.stop())));

function rig(root = EVIL) {
  const spawn = systemSpawn();
  const pids: (number | undefined)[] = [];
  const lines: string[] = [];
  const write = (_: object, message: string): void => void lines.push(message);
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const provider = { kind: 'lookup', name: 'evil', package: 'overlayadm-test-evil', version: '1.0.0', root, module: './index.js', api: 1 } as const;
  const hosts = createPluginHosts({
    runtime: {
      discover: async () => ({ providers: [provider], problems: [] }),
      spawn: (launch, output) => {
        const host = spawn(launch, output);
        pids.push(host.pid);
        return host;
      },
      stamp: async () => '',
      describeRights: () => undefined,
      uidOf: () => 0,
      files: systemFiles,
    },
    clock: systemClock,
    log,
  });
  open.push(hosts);
  const events: unknown[] = [];
  const ignore = (): void => {};
  const create = (values: InstanceSpec['values'] = {}) =>
    hosts.createInstance(
      {
        overlay: 'overlay0',
        plugin: 'evil',
        vnetid: 1,
        needs: ['ip'],
        values: { outside: '/etc/hostname', deed: 'none', ...values },
        setters: {},
        localAddresses: () => [],
      },
      {
        answered: (answers) => void events.push(...answers),
        setTarget: ignore,
        invalidateTarget: ignore,
        announce: ignore,
        degraded: ignore,
        restored: ignore,
        hostDown: (reason) => void events.push(`down: ${reason}`),
        hostUp: () => void events.push('up'),
        outdated: () => undefined,
      },
    );
  const asked = (last: string) => [{ id: 1, kind: 'lookup', to: mac(last), from: mac('01'), etherType: 0x800 }] as const;
  return { hosts, create, asked, events, lines, pids };
}

const statusOf = (pid: number | undefined): ReadonlyMap<string, string> =>
  new Map(
    readFileSync(`/proc/${pid}/status`, 'utf8')
      .split('\n')
      .map((line) => line.split(/:\s*/) as [string, string]),
  );

const isGone = (pid: number | undefined): boolean => {
  try {
    return statusOf(pid).get('State')?.startsWith('Z') === true;
  } catch {
    return true;
  }
};

async function probe(root?: string) {
  const { create, asked, lines, pids } = rig(root);
  const instance = await create({ outside: resolve('package.json') });
  instance.ask(asked('99'));
  const line = await waitFor(() => lines.find((text) => text.startsWith('probe ')), 10_000);
  return { seen: JSON.parse(line.slice('probe '.length)), status: statusOf(pids[0]) };
}

const HIDDEN = {
  passwd: 'ERR_ACCESS_DENIED',
  outside: 'ERR_ACCESS_DENIED',
  status: 'ERR_ACCESS_DENIED',
  write: 'ERR_ACCESS_DENIED',
  run: 'ERR_ACCESS_DENIED',
};

skipUnless({ commands: ['setpriv'] })('a plugin host', () => {
  it('reads its folder and nothing else, runs nothing, has no environment and no capabilities', async () => {
    const { seen, status } = await probe();
    expect(seen).toMatchObject({ ...HIDDEN, cwd: '/', environment: [] });
    expect(['CapInh', 'CapPrm', 'CapEff', 'CapAmb'].map((set) => status.get(set))).toEqual(new Array(4).fill('0000000000000000'));
    expect(status.get('NoNewPrivs')).toBe('1');
  });

  it('is found dead and reported when its plugin cannot be imported', async () => {
    const folder = join(temporaryFolder(), 'broken');
    cpSync(EVIL, folder, { recursive: true });
    writeFileSync(join(folder, 'index.js'), "throw new Error('broken on import')");
    const { hosts } = rig(folder);
    await expect(hosts.describeLookup('evil')).rejects.toMatchObject({ code: 'PLUGIN_FAILED', message: expect.stringContaining('broken on import') });
  });

  it.each(['exit', 'throw'])('that does %s at start fails the create', async (deed) => {
    const { create } = rig();
    const code = deed === 'exit' ? 'PLUGIN_FAILED' : 'LOOKUP_START_FAILED';
    await expect(create({ deed })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(deed === 'exit' ? 'exit status 9' : 'evil: does not start'),
    });
  });

  // The other ways to die, at every point of a lookup, are in deaths.test.ts.
  it.each([
    ['aborts', 'c0', /signal SIGABRT/],
    ['writes an answer that is none', 'c4', /answers\.0/],
  ])('that %s is replaced, and overlayd goes on', async (_, deed, why) => {
    const { create, asked, events, pids } = rig();
    const instance = await create();
    instance.ask(asked(deed));
    await waitFor(() => events.some((event) => (event as { reason?: string }).reason === 'lookup.crashed'), 20_000, 'two deaths');
    await waitFor(() => events.at(-1) === 'up', 20_000, 'a host that is back');
    expect(events.filter((event) => typeof event === 'string' && why.test(event)).length).toBe(2);
    events.length = 0;
    instance.ask(asked('01'));
    await waitFor(() => events.length > 0, 10_000, 'an answer');
    expect(events).toEqual([found]);
    expect(pids.slice(0, -1).every(isGone)).toBe(true);
  });

  it('that is closed is gone soon', async () => {
    const { create, hosts, pids } = rig();
    (await create()).close();
    await hosts.stop();
    expect(isGone(pids[0])).toBe(true);
  });

  it('finds the dependencies of its plugin, beside it and behind links, and no other package', async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o755);
    const modules = join(folder, 'node_modules');
    for (const [name, text] of [
      ['hoisted', 'export default 1'],
      ['deeper', 'export default 2'],
      ['stranger', 'export default 3'],
    ] as const) {
      const at = name === 'deeper' ? join(folder, 'elsewhere', name) : join(modules, name);
      mkdirSync(at, { recursive: true });
      const dependencies = name === 'hoisted' ? { deeper: '*' } : {};
      writeFileSync(join(at, 'package.json'), JSON.stringify({ name, version: '1.0.0', type: 'module', exports: './index.js', dependencies }));
      writeFileSync(join(at, 'index.js'), name === 'hoisted' ? "import deeper from 'deeper'; export default deeper" : text);
    }
    symlinkSync(join(folder, 'elsewhere', 'deeper'), join(modules, 'deeper'));
    const root = join(modules, 'plugin');
    cpSync(EVIL, root, { recursive: true });
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    writeFileSync(join(root, 'package.json'), JSON.stringify({ ...manifest, dependencies: { hoisted: '*' } }));
    writeFileSync(
      join(root, 'index.js'),
      `import two from 'hoisted'; if (two !== 2) throw new Error('not two');\n${readFileSync(join(root, 'index.js'), 'utf8')}`,
    );
    expect((await rig(root).hosts.describeLookup('evil')).name).toBe('evil');
    writeFileSync(join(root, 'index.js'), "import 'stranger'; export default {}");
    await expect(rig(root).hosts.describeLookup('evil')).rejects.toMatchObject({ message: expect.stringContaining('restricted') });
  });

  it('gives its plugin its own copy of the api, whatever the plugin brought', async () => {
    const folder = join(temporaryFolder(), 'overlayadm-test-slow-lookup');
    cpSync(resolve('test/fixtures/plugins/slow-lookup'), folder, { recursive: true });
    const api = join(folder, 'node_modules', '@overlayadm', 'api');
    mkdirSync(api, { recursive: true });
    writeFileSync(join(api, 'package.json'), JSON.stringify({ name: '@overlayadm/api', version: '0.0.0', type: 'module', exports: './index.js' }));
    writeFileSync(join(api, 'index.js'), "throw new Error('a second copy')");
    const output: string[] = [];
    const host = systemSpawn()({ package: 'slow', root: folder, modules: ['./index.js'] }, (text) => output.push(text));
    const lines: string[] = [];
    host.stream.on('data', (chunk) => lines.push(String(chunk)));
    host.stream.write(`${JSON.stringify({ type: 'describe', call: 1, kind: 'lookup', name: 'slow' })}\n`);
    await waitFor(() => lines.join('').includes('"described"'), 10_000, output.join(''));
    host.kill();
    expect(await host.exited).toBe('signal SIGKILL');
  });

  it('dies with overlayd, also with one that is killed', async () => {
    const script = join(temporaryFolder(), 'parent.mjs');
    const module = JSON.stringify(resolve('src/core/lookup/host-process.ts'));
    const launch = JSON.stringify(launchOf(EVIL));
    writeFileSync(
      script,
      `import { systemSpawn } from ${module};\nconsole.log(systemSpawn()(${launch}, () => {}).pid);\nsetInterval(() => {}, 1000);`,
    );
    const parent = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pid = await new Promise<number>((done) => parent.stdout.once('data', (text) => done(Number(text))));
    await waitFor(() => statusOf(pid).get('Name') === 'node' || statusOf(pid).get('Name') === 'MainThread', 10_000, 'the host');
    parent.kill('SIGKILL');
    await waitFor(() => isGone(pid), 10_000, 'the end of the host');
  });
});

skipUnless({ root: true })('a plugin host of root', () => {
  it('is another user, without groups and without a bounding set', async () => {
    const { seen, status } = await probe();
    const { user } = systemRights();
    expect([seen.uid, seen.gid, status.get('Groups')?.trim()]).toEqual([user.uid, user.gid, '']);
    expect(status.get('CapBnd')).toBe('0000000000000000');
  });

  it('keeps the user, and nothing else, where its folder is closed to others, and the folder is named', async () => {
    const folder = temporaryFolder();
    const root = join(folder, 'private');
    cpSync(EVIL, root, { recursive: true });
    const rights = systemRights();
    expect(whyNotServiceUser(rights, launchOf(EVIL))).toBeUndefined();
    expect(whyNotServiceUser(rights, launchOf(root))).toBe(folder);
    expect(describeKept(rights, launchOf(root), folder)).toContain(`cannot read ${folder}`);
    const { seen, status } = await probe(root);
    expect(seen).toMatchObject({ ...HIDDEN, uid: 0 });
    expect(['CapPrm', 'CapEff', 'CapBnd'].map((set) => status.get(set))).toEqual(new Array(3).fill('0000000000000000'));
  });
});

describe('hostCommand', () => {
  it('asks nothing of users where overlayd cannot change them', () => {
    const rights = { ...systemRights(), powers: { changesUser: false, dropsBounds: false } };
    const command = hostCommand(rights, launchOf(EVIL)).join(' ');
    expect(command).toMatch(
      /^setpriv --inh-caps=-all --ambient-caps=-all --no-new-privs --pdeathsig=KILL -- sh -c .*ulimit -d .* env -i "\$@" sh \d+ \S+ --max-old-space-size=\d+ --permission /,
    );
    expect(command).toMatch(new RegExp(` --allow-fs-read=${EVIL} .*varpd/main.ts ${EVIL} ./index.js$`));
  });
});
