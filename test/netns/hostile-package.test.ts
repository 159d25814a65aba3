// Hostile packages are installed: every command works as before, other overlays notice nothing, and no code of them runs but in a plugin host.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { readServiceUser } from '../../src/core/lookup/rights.ts';
import type { Client } from '../../src/core/rpc/client.ts';
import type { PluginRow } from '../../src/core/rpc/protocol.ts';
import { type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import { control, createOverlay, createVnic, kernelPeer, mappingFile, PATIENCE_MS } from '../helpers/netns-overlay.ts';
import { datagramsOf, listenUdp, ping } from '../helpers/netns-traffic.ts';
import { copyPackage, outsideCommands, pack, pluginsOf, writePackage } from '../helpers/outside-package.ts';
import type { Result, Running } from '../helpers/process.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

const PORT = 9909;
const DEEDS = ['exit', 'loop', 'memory', 'rubbish'] as const;
const CALM = { mac: '02:08:20:00:22:01', peerMac: '02:08:20:00:22:02', net: '10.22.0' };

/** What mark.js of the package tells of a process that runs it. */
interface Mark {
  readonly what: string;
  readonly pid: number;
  readonly uid: number;
  readonly program: string | undefined;
  readonly options: readonly string[];
  readonly file: boolean;
}

interface PackageText {
  readonly name?: string;
  readonly api?: number;
  readonly lookup?: string;
  readonly files?: Readonly<Record<string, string>>;
}

/** A lookup that finds nothing. */
const PLUGIN = `export default {
  kind: 'lookup', name: 'NAME', properties: [],
  create: () => ({ mode: 'dynamic', start: async () => {}, stop: async () => {}, lookup: async () => ({ kind: 'drop', reason: 'odd.none' }) }),
};`;

const base = temporaryFolder();
chmodSync(base, 0o755);
/** Everybody may write here. */
const proof = join(base, 'proof');
mkdirSync(proof);
chmodSync(proof, 0o777);

function hostile(deed: string): string {
  const folder = copyPackage('hostile', join(base, deed), {
    'package.json': (text) =>
      text.replaceAll('"overlayadm-hostile"', `"overlayadm-hostile-${deed}"`).replace('"name": "hostile"', `"name": "${deed}"`),
    'lib/where.js': () => `export const folder = ${JSON.stringify(proof)};\nexport const port = ${PORT};\n`,
  });
  return writePackage(folder, { 'lib/deed.js': `export const deed = '${deed}';\n` });
}

/** Ids of all commands that there are, `plugins install` as one. */
function allCommands(): string[] {
  const folder = resolve('src/commands');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  return files.map((name) => name.replace(/(\/index)?\.ts$/, '').replace('/', ' ')).sort();
}

skipUnless({ root: true, tun: true, commands: ['ping', 'npm'] })('hostile packages', () => {
  let ours: Host;
  let peer: Host;
  let space: Namespace;
  let our: (...words: string[]) => Promise<Result>;
  let client: Client;
  let listener: Running;
  let isOver = false;
  /** Of the overlay of another package, all the time. */
  const seen = new Set<string>();
  let watching: Promise<void>;

  const marks = (): Mark[] => datagramsOf(listener).map((text) => JSON.parse(text));

  beforeAll(async () => {
    [ours, peer] = await twoHosts({ v6: false });
    our = outsideCommands(ours);
    listener = await listenUdp(ours, PORT);
    const config = mappingFile(ours, 'calm.json', { [CALM.peerMac]: { ip: peer.v4, port: 4789 } });
    await createOverlay(ours, { name: 'calm0', search: 'files', vnetid: 22, properties: { 'vxlan/listen_ip': ours.v4, 'files/config': config } });
    space = await createVnic(ours, { name: 'vcalm0', overlay: 'calm0', mac: CALM.mac, addresses: [`${CALM.net}.1/24`], netns: 'calm' });
    await kernelPeer(peer, { name: 'vx22', vnetid: 22, mac: CALM.peerMac, addresses: [`${CALM.net}.2/24`], local: peer.v4, remote: ours.v4 });
    await space.must('ip', ['neigh', 'replace', `${CALM.net}.2`, 'lladdr', CALM.peerMac, 'nud', 'permanent', 'dev', 'vcalm0']);
    client = await control(ours);
    watching = (async () => {
      while (!isOver) {
        seen.add((await client.call('overlay.health', { name: 'calm0' })).status);
        await new Promise((done) => setTimeout(done, 25));
      }
    })();
  });

  const isCalm = async (): Promise<void> => {
    expect(await ping(space, `${CALM.net}.2`)).toEqual({ sent: 2, received: 2 });
    expect([...seen]).toEqual(['ONLINE']);
  };

  test('tell of every run, by a file and by a datagram', async () => {
    const folder = hostile('witness');
    await ours.must(process.execPath, [join(folder, 'lib/main.js')]);
    await waitFor(() => marks().length > 0, PATIENCE_MS, 'the mark');
    expect(marks()).toMatchObject([{ what: 'main', uid: 0, options: [], file: true }]);
    expect(readFileSync(join(proof, 'ran'), 'utf8')).toContain('main');
    rmSync(join(proof, 'ran'));
  });

  test('are installed, and their plugins say what is wrong with each', async () => {
    const files = await pack(base, ...DEEDS.map(hostile));
    const { status, stdout, stderr } = await our('plugins', 'install', ...files);
    const brought = DEEDS.map((deed) => `overlayadm-hostile-${deed} 1.0.0: brings ${deed} (lookup)`);
    expect({ status, brought: stdout.trim().split('\n') }).toEqual({ status: 0, brought });
    const warnings = stderr.trim().split('\n').sort();
    expect(warnings).toEqual([
      expect.stringMatching(/lookup plugin exit: .*its host failed \(exit status 0\)/),
      expect.stringMatching(/lookup plugin loop: it did not say what properties it has within 3000 ms/),
      expect.stringMatching(/lookup plugin rubbish: .*its host failed \(its channel broke: a line that is not one JSON object\)/),
    ]);
    await isCalm();
  });

  test('do not keep any command from its work', async () => {
    // Meanwhile an import that never ends is waited for, and memory is eaten.
    const tryIt = (deed: string) => our('create-overlay', '-e', 'vxlan', '-s', deed, '-v', '5', '-p', `vxlan/listen_ip=${ours.v4}`, `${deed}0`);
    const creating = DEEDS.map(tryIt);
    const good = ['-e', 'vxlan', '-s', 'direct', '-v', '7', '-p', `vxlan/listen_ip=${ours.v4}`, '-p', `direct/dest_ip=${peer.v4}`];
    const runs: readonly (readonly [command: string, operands: readonly string[], prints: RegExp])[] = [
      ['create-overlay', [...good, '-p', 'direct/dest_port=4789', 'good0'], /^$/],
      ['create-vnic', ['-l', 'good0', 'vgood0'], /^$/],
      ['show-overlay', ['good0'], /good0 +direct\/dest_port/],
      ['show-overlay', ['-f'], /calm0 +ONLINE/],
      ['show-overlay', ['-t', 'calm0'], /calm0 +2:8:20:0:22:2 /],
      ['show-link', ['-s'], /calm0/],
      ['show-linkprop', ['good0'], /mtu/],
      ['show-vnic', [], /vgood0/],
      ['set-linkprop', ['-p', 'direct/dest_port=4790', 'good0'], /^$/],
      ['reset-linkprop', ['-p', 'mtu', 'good0'], /^$/],
      ['modify-overlay', ['-f', 'calm0'], /^$/],
      ['up-overlay', [], /^$/],
      ['show-plugins', ['files'], /files/],
      ['plugins', [], /overlayadm-hostile-exit/],
      ['plugins inspect', ['overlayadm-hostile-loop'], /loop \(lookup\)/],
      ['plugins link', [hostile('witness')], /brings witness/],
      ['plugins uninstall', ['overlayadm-hostile-witness'], /^$/],
      ['plugins install', [join(base, 'overlayadm-hostile-exit-1.0.0.tgz')], /brings exit/],
      ['plugins update', [], /^/],
      ['delete-vnic', ['vgood0'], /^$/],
      ['delete-overlay', ['good0'], /^$/],
    ];
    expect([...new Set(runs.map(([command]) => command))].sort()).toEqual(allCommands());
    for (const [command, operands, prints] of runs) {
      const { status, stdout, stderr } = await our(...command.split(' '), ...operands);
      expect({ command, status, stdout }, stderr).toEqual({ command, status: 0, stdout: expect.stringMatching(prints) });
    }
    for (const words of [['help'], ['--help'], ['--version'], ['help', 'show-overlay']])
      expect((await our(...words)).status, words.join(' ')).toBe(0);
    for (const words of [['hostile', 'loop'], ['hostile'], ['nonsense']]) expect((await our(...words)).status, words.join(' ')).toBe(2);
    const refused = await Promise.all(creating);
    expect(refused.map(({ status }) => status)).toEqual(DEEDS.map(() => 1));
    expect(refused.map(({ stderr }) => stderr.split('\n')[0])).toEqual([
      expect.stringMatching(/overlayadm-hostile-exit: its host failed \(exit status 0\)$/),
      expect.stringMatching(/overlayadm-hostile-loop: its host failed \(it was not ready after 20000 ms\)$/),
      expect.stringMatching(/overlayadm-hostile-memory: its host failed \((?:signal SIG|exit status |it hangs)/),
      expect.stringMatching(/overlayadm-hostile-rubbish: its host failed \(its channel broke: .*\)$/),
    ]);
    await isCalm();
  });

  test('have run in plugin hosts only: nobody, who may read his folder', () => {
    const told = marks().filter(({ what }) => what !== 'main');
    const pieces = [...[...DEEDS, 'witness'].map((deed) => `plugin ${deed}`), 'start of memory'];
    expect([...new Set(told.map(({ what }) => what))].sort()).toEqual(pieces.sort());
    for (const each of told) {
      expect(each).toMatchObject({ uid: readServiceUser().uid, program: resolve('dist/core/varpd/main.js'), file: false });
      expect(each.options).toContain('--permission');
    }
    expect(existsSync(join(proof, 'ran'))).toBe(false);
  });

  test('are removed, and nothing of them is left', async () => {
    const removed = await our('plugins', 'uninstall', ...DEEDS.map((deed) => `overlayadm-hostile-${deed}`));
    expect(removed).toMatchObject({ status: 0, stderr: '' });
    expect((await pluginsOf(ours)).problems).toEqual([]);
    expect(existsSync(join(proof, 'ran'))).toBe(false);
    await isCalm();
  });

  /** A package of one lookup, linked. Nothing else is linked or installed when the test is through. */
  async function linked(folder: string, what: PackageText, check: (outcome: Result) => Promise<void>): Promise<void> {
    const { name = 'overlayadm-odd', api = 1, lookup = 'odd', files = {} } = what;
    const overlayadm = { api, providers: [{ kind: 'lookup', name: lookup, module: './index.js' }] };
    const manifest = JSON.stringify({ name, version: '1.0.0', type: 'module', oclif: {}, overlayadm });
    writePackage(folder, { 'package.json': manifest, 'index.js': PLUGIN.replace('NAME', lookup), ...files });
    const outcome = await our('plugins', 'link', folder);
    try {
      await check(outcome);
    } finally {
      await our('plugins', 'unlink', name);
    }
  }

  const warnings = ({ stderr }: { readonly stderr: string }): string[] =>
    stderr.split('\n').flatMap((line) => /^overlayadm: (?:warning: )?(.*)$/.exec(line)?.[1] ?? []);
  const create = (search: string) => our('create-overlay', '-e', 'vxlan', '-s', search, '-v', '50', '-p', `vxlan/listen_ip=${ours.v4}`, 'odd0');

  test('packages that cannot be used: one line each, when they are linked, from show-plugins and from create-overlay', async () => {
    const newer = join(base, 'newer');
    await linked(newer, { api: 99 }, async (outcome) => {
      const line = `plugin overlayadm-odd (${newer}): left out, it is written for plugin api 99, this overlayadm has 1`;
      expect([outcome.status, warnings(outcome)]).toEqual([0, [line]]);
      expect(warnings(await our('show-plugins'))).toEqual([line]);
      const refused = await create('odd');
      expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining(line)]);
    });
    await linked(join(base, 'broken'), { files: { 'index.js': 'export default {' } }, async (outcome) => {
      const line = expect.stringMatching(/^lookup plugin odd: .*\.\/index\.js: Unexpected end of input/);
      expect([outcome.status, warnings(outcome)]).toEqual([0, [line]]);
      expect(warnings(await our('show-plugins'))).toEqual([line]);
      expect(await create('odd')).toMatchObject({ status: 1, stderr: expect.stringContaining('Unexpected end of input') });
    });
    const rival = join(base, 'rival');
    await linked(rival, { lookup: 'files' }, async (outcome) => {
      const line = `lookup files of overlayadm-odd (${rival}): left out, that of @overlayadm/plugin-files, which comes with overlayadm, is used`;
      expect([outcome.status, warnings(outcome)]).toEqual([0, [line]]);
      expect((await pluginsOf(ours)).rows.get('lookup files')).toMatchObject({ package: '@overlayadm/plugin-files', problem: null });
    });
    const twins = ['one', 'two'].map((name) => join(base, name)) as [string, string];
    await linked(twins[0], {}, async (first) => {
      expect([first.status, warnings(first)]).toEqual([0, []]);
      await linked(twins[1], { name: 'overlayadm-even' }, async (outcome) => {
        const line = `lookup odd: left out, it is brought by overlayadm-odd (${twins[0]}) and overlayadm-even (${twins[1]}); remove all but one`;
        expect([outcome.status, warnings(outcome)]).toEqual([0, [line]]);
        expect(await create('odd')).toMatchObject({ status: 1, stderr: expect.stringContaining(line) });
      });
    });
    await isCalm();
  });

  test('a package under the name of one that comes with overlayadm is refused, linked or installed', async () => {
    const name = '@overlayadm/plugin-files';
    const folder = join(base, 'impostor');
    await linked(folder, { name }, async (outcome) => {
      expect([outcome.status, warnings(outcome)]).toEqual([1, [`${name}: comes with overlayadm, which uses its own`]]);
    });
    const [file = ''] = await pack(base, folder);
    const outcome = await our('plugins', 'install', file);
    expect([outcome.status, warnings(outcome)]).toEqual([1, [`${name}: comes with overlayadm, which uses its own`]]);
    expect(JSON.parse((await our('plugins', '--json')).stdout)).toEqual([]);
    expect(existsSync(join(ours.dirs.data, 'node_modules', name))).toBe(false);
    await isCalm();
  });

  test('odd folders: links, files that the user of plugin hosts cannot read, letters and spaces', async () => {
    const odd = async (): Promise<PluginRow | undefined> => (await pluginsOf(ours)).rows.get('lookup odd');
    const uid = readServiceUser().uid;
    await linked(join(base, 'Größe 100% #1 für «alle»'), {}, async (outcome) => {
      expect([outcome.status, warnings(outcome)]).toEqual([0, []]);
      expect(await odd()).toMatchObject({ uid, problem: null, properties: [] });
    });
    const outside = join(base, 'outside.js');
    writePackage(base, { 'outside.js': PLUGIN.replace('NAME', 'odd') });
    const linking = join(base, 'linking');
    writePackage(linking, { 'lib/real.js': PLUGIN.replace('NAME', 'odd') });
    symlinkSync('lib/real.js', join(linking, 'inside.js'));
    symlinkSync(outside, join(linking, 'outside.js'));
    const imports = (file: string): PackageText => ({ files: { 'index.js': `export { default } from './${file}';` } });
    await linked(linking, imports('inside.js'), async () => expect(await odd()).toMatchObject({ problem: null }));
    await linked(linking, imports('outside.js'), async (outcome) => {
      expect(warnings(outcome)).toEqual([expect.stringMatching(/^lookup plugin odd: .*Access to this API has been restricted/)]);
    });
    writePackage(linking, { 'secret.js': '' });
    chmodSync(join(linking, 'secret.js'), 0o600);
    await linked(linking, imports('secret.js'), async (outcome) => {
      const line = expect.stringMatching(/^lookup plugin odd: .*EACCES.*secret\.js/);
      expect(warnings(outcome)).toEqual([line]);
      expect(warnings(await our('show-plugins', 'odd'))).toEqual([line]);
    });
    const hidden = join(base, 'hidden');
    mkdirSync(hidden, { mode: 0o700 });
    await linked(hidden, {}, async (outcome) => {
      const line = `plugin overlayadm-odd: its host keeps overlayd's user, without capabilities, because uid ${uid} cannot read ${hidden}`;
      expect([outcome.status, warnings(outcome)]).toEqual([0, [line]]);
      expect(await odd()).toMatchObject({ uid: 0, problem: null });
      expect((await pluginsOf(ours)).problems).toEqual([line]);
      expect(readFileSync(join(ours.dirs.run, 'overlayd.log'), 'utf8')).toContain(line);
    });
    await isCalm();
  });

  test('the other overlay was online all the time', async () => {
    isOver = true;
    await watching;
    expect([...seen]).toEqual(['ONLINE']);
  });
});
