// Hostile packages are installed: every command works as before, other overlays notice nothing, and no code of them runs but in a plugin host.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readServiceUser } from '../../src/core/lookup/rights.ts';
import type { Client } from '../../src/core/rpc/client.ts';
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

const IMPOSTOR = '@overlayadm/plugin-files';

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

/** A lookup that finds nothing. */
const pluginCode = (lookup: string): string => `export default {
  kind: 'lookup', name: '${lookup}', properties: [],
  create: () => ({ mode: 'dynamic', start: async () => {}, stop: async () => {}, lookup: async () => ({ kind: 'drop', reason: 'odd.none' }) }),
};`;

interface PackageText {
  readonly name?: string;
  readonly api?: number;
  readonly lookup?: string;
  readonly code?: string;
}

/** A package of one lookup, in a folder of this name; what is not given is called like the folder. */
function outside(folder: string, { name = folder, api = 1, lookup = folder, code = pluginCode(lookup) }: PackageText): string {
  const overlayadm = { api, providers: [{ kind: 'lookup', name: lookup, module: './index.js' }] };
  const manifest = JSON.stringify({ name, version: '1.0.0', type: 'module', oclif: {}, overlayadm });
  return writePackage(join(base, folder), { 'package.json': manifest, 'index.js': code });
}

const fileOf = (name: string): string => join(base, `${name}-1.0.0.tgz`);

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
    await pack(base, ...DEEDS.map(hostile), outside('impostor', { name: IMPOSTOR }), outside('zeta', {}));
    listener = await listenUdp(ours, PORT);
    const config = mappingFile(ours, 'calm.json', { [CALM.peerMac]: { ip: peer.v4, port: 4789 } });
    await createOverlay(ours, { name: 'calm0', search: 'files', vnetid: 22, properties: { 'vxlan/listen_ip': ours.v4, 'files/config': config } });
    space = await createVnic(ours, { name: 'vcalm0', overlay: 'calm0', mac: CALM.mac, addresses: [`${CALM.net}.1/24`], netns: 'calm' });
    await kernelPeer(peer, { name: 'vx22', vnetid: 22, mac: CALM.peerMac, addresses: [`${CALM.net}.2/24`], local: peer.v4, remote: ours.v4 });
    await space.must('ip', ['neigh', 'replace', `${CALM.net}.2`, 'lladdr', CALM.peerMac, 'nud', 'permanent', 'dev', 'vcalm0']);
    client = await control(ours);
    watching = (async () => {
      while (!isOver) {
        seen.add(await client.call('overlay.health', { name: 'calm0' }).then(({ status }) => status, String));
        await new Promise((done) => setTimeout(done, 25));
      }
    })();
  });

  afterAll(() => {
    isOver = true;
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

  const warnings = ({ stderr }: { readonly stderr: string }): string[] =>
    stderr.split('\n').flatMap((line) => /^overlayadm: (?:warning: )?(.*)$/.exec(line)?.[1] ?? []);
  const create = (search: string, overlay: string) =>
    our('create-overlay', '-e', 'vxlan', '-s', search, '-v', '5', '-p', `vxlan/listen_ip=${ours.v4}`, overlay);
  const tryAll = (names: readonly string[]) => Promise.all(names.map((name) => create(name, `${name}0`)));

  test('that cannot be used get one line each, when they are linked, from show-plugins and from create-overlay', async () => {
    const at = (name: string): string => join(base, name);
    const packages: readonly (readonly [folder: string, line: unknown])[] = [
      [outside('newer', { api: 99 }), `plugin newer (${at('newer')}): left out, it is written for plugin api 99, this overlayadm has 1`],
      [outside('broken', { code: 'export default {' }), expect.stringMatching(/^lookup plugin broken: .*\.\/index\.js: Unexpected end of input/)],
      [
        outside('rival', { lookup: 'files' }),
        `lookup files of rival (${at('rival')}): left out, that of @overlayadm/plugin-files, which comes with overlayadm, is used`,
      ],
      [outside('twin', { lookup: 'one' }), undefined],
      [
        outside('other', { lookup: 'one' }),
        `lookup one: left out, it is brought by twin (${at('twin')}) and other (${at('other')}); remove all but one`,
      ],
    ];
    const lines: unknown[] = [];
    for (const [folder, line] of packages) {
      const before = lines.filter((each) => typeof each === 'string');
      const outcome = await our('plugins', 'link', folder);
      if (line !== undefined) lines.push(line);
      // Of the others only what is known without a try.
      expect([outcome.status, warnings(outcome)]).toEqual([0, expect.arrayContaining(line === undefined ? before : [...before, line])]);
      expect(warnings(outcome).length).toBe(before.length + (line === undefined ? 0 : 1));
    }
    const shown = warnings(await our('show-plugins'));
    expect([shown.length, shown]).toEqual([lines.length, expect.arrayContaining(lines)]);
    for (const { status, stderr } of await tryAll(['newer', 'broken', 'one'])) {
      expect([status, warnings({ stderr }).length, stderr]).toEqual([1, 1, expect.stringMatching(/left out|Unexpected end of input/)]);
    }
    expect((await pluginsOf(ours)).rows.get('lookup files')).toMatchObject({ package: '@overlayadm/plugin-files', problem: null });
    expect(await our('plugins', 'unlink', ...packages.map(([folder]) => basename(folder)))).toMatchObject({ status: 0, stderr: '' });
    await isCalm();
  });

  test('in odd folders: letters and spaces, links, and what the user of plugin hosts cannot read', async () => {
    const uid = readServiceUser().uid;
    const module = (file: string): { readonly code: string } => ({ code: `export { default } from './${file}';` });
    const letters = outside('Größe 100% #1 für «alle»', { name: 'letters', lookup: 'letters' });
    const inside = outside('inside', module('link.js'));
    writePackage(inside, { 'lib/real.js': pluginCode('inside') });
    symlinkSync('lib/real.js', join(inside, 'link.js'));
    const escaping = outside('escaping', module('link.js'));
    symlinkSync(join(inside, 'lib/real.js'), join(escaping, 'link.js'));
    const secret = outside('secret', module('secret.js'));
    writeFileSync(join(secret, 'secret.js'), '', { mode: 0o600 });
    const hidden = outside('hidden', {});
    chmodSync(hidden, 0o700);
    const links = [letters, inside, escaping, secret].map((root) => ({ type: 'link', root, name: root === letters ? 'letters' : basename(root) }));
    writeFileSync(join(ours.dirs.data, 'package.json'), JSON.stringify({ private: true, oclif: { schema: 1, plugins: links }, dependencies: {} }));
    const line = `plugin hidden: its host keeps overlayd's user, without capabilities, because uid ${uid} cannot read ${hidden}`;
    expect(warnings(await our('plugins', 'link', hidden))).toEqual([line]);
    const { rows, problems } = await pluginsOf(ours);
    const found = (name: string) => rows.get(`lookup ${name}`);
    expect([found('letters'), found('inside')]).toEqual([
      expect.objectContaining({ uid, problem: null }),
      expect.objectContaining({ uid, problem: null }),
    ]);
    expect(found('escaping')?.problem).toMatch(/Access to this API has been restricted/);
    expect(found('secret')?.problem).toMatch(/EACCES.*secret\.js/);
    expect(found('hidden')).toMatchObject({ uid: 0, problem: null });
    expect(problems).toEqual([line]);
    expect(readFileSync(join(ours.dirs.run, 'overlayd.log'), 'utf8')).toContain(line);
    expect(await our('plugins', 'unlink', ...links.map(({ name }) => name), 'hidden')).toMatchObject({ status: 0, stderr: '' });
    await isCalm();
  });

  test('under the name of one that comes with overlayadm are refused, linked or installed', async () => {
    for (const words of [
      ['link', join(base, 'impostor')],
      ['install', fileOf('overlayadm-plugin-files')],
    ]) {
      const outcome = await our('plugins', ...words);
      expect([outcome.status, warnings(outcome)]).toEqual([1, [`${IMPOSTOR}: comes with overlayadm, which uses its own`]]);
    }
    expect(JSON.parse((await our('plugins', '--json')).stdout)).toEqual([]);
    expect(existsSync(join(ours.dirs.data, 'node_modules', IMPOSTOR))).toBe(false);
    await isCalm();
  });

  test('are installed, and their plugins say what is wrong with each', async () => {
    const { status, stdout, stderr } = await our('plugins', 'install', ...DEEDS.map((deed) => fileOf(`overlayadm-hostile-${deed}`)));
    const brought = DEEDS.map((deed) => `overlayadm-hostile-${deed} 1.0.0: brings ${deed} (lookup)`);
    expect({ status, brought: stdout.trim().split('\n') }).toEqual({ status: 0, brought });
    expect(warnings({ stderr }).sort()).toEqual([
      expect.stringMatching(/lookup plugin exit: .*its host failed \(exit status 0\)/),
      expect.stringMatching(/lookup plugin loop: it did not say what properties it has within 3000 ms/),
      expect.stringMatching(/lookup plugin rubbish: .*its host failed \(its channel broke: a line that is not one JSON object\)/),
    ]);
    await isCalm();
  });

  test('another package from a file of the same name is refused, for npm and oclif would take one for the other', async () => {
    const file = join(base, 'elsewhere', basename(fileOf('overlayadm-hostile-exit')));
    mkdirSync(dirname(file));
    copyFileSync(fileOf('zeta'), file);
    const outcome = await our('plugins', 'install', file);
    expect([outcome.status, warnings(outcome)]).toEqual([
      1,
      [`file:${file}: zeta cannot be installed (another package came from a file of that name)`],
    ]);
    const listed = JSON.parse((await our('plugins', '--json')).stdout) as readonly { readonly name: string }[];
    expect(listed.map(({ name }) => name).sort()).toEqual(DEEDS.map((deed) => `overlayadm-hostile-${deed}`).sort());
    expect(existsSync(join(ours.dirs.data, 'node_modules/zeta'))).toBe(false);
  });

  test('do not keep any command from its work', async () => {
    // Meanwhile an import that never ends is waited for, and memory is eaten.
    const creating = tryAll(DEEDS);
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
      ['plugins install', [fileOf('overlayadm-hostile-exit')], /brings exit/],
      ['plugins update', [], /^/],
      ['delete-vnic', ['vgood0'], /^$/],
      ['delete-overlay', ['good0'], /^$/],
    ];
    expect([...new Set(runs.map(([command]) => command))].sort()).toEqual(allCommands());
    for (const [command, operands, prints] of runs) {
      const { status, stdout, stderr } = await our(...command.split(' '), ...operands);
      expect({ command, status, stdout }, stderr).toEqual({ command, status: 0, stdout: expect.stringMatching(prints) });
    }
    for (const words of [['help'], ['--version']]) expect((await our(...words)).status, words.join(' ')).toBe(0);
    for (const words of [['hostile', 'loop'], ['nonsense']]) expect((await our(...words)).status, words.join(' ')).toBe(2);
    const refused = await creating;
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

  test('are removed, and nothing is left', async () => {
    expect(await our('plugins', 'uninstall', 'overlayadm-hostile-loop')).toMatchObject({ status: 0, stderr: '' });
    expect((await pluginsOf(ours)).rows.has('lookup loop')).toBe(false);
    expect([existsSync(join(ours.dirs.data, 'node_modules/overlayadm-hostile-loop')), existsSync(join(proof, 'ran'))]).toEqual([false, false]);
    await isCalm();
  });

  test('the other overlay was online all the time', async () => {
    isOver = true;
    await watching;
    expect([...seen]).toEqual(['ONLINE']);
  });
});
