// Every command as a process, against an overlayd without a network: what is asked, printed, and the exit status.
import { execFileSync } from 'node:child_process';
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import type { PropertyRow, TargetRow, VnicRow } from '../../src/core/rpc/protocol.ts';
import type { Handlers } from '../../src/core/rpc/server.ts';
import { type FakeDaemon, fakeDaemon } from './fake-daemon.ts';
import { type Outcome, overlayadm } from './overlayadm.ts';

const against = (daemon: FakeDaemon, ...args: string[]): Promise<Outcome> => overlayadm(args, { OVERLAYADM_RUN_DIR: daemon.run });
const missing = (name: string) => new OverlayError('OVERLAY_NOT_FOUND', `${name}: object not found`, { advice: 'Look.' });

const row = (overlay: string, property: string, value: string | null): PropertyRow => ({
  overlay,
  property,
  access: 'rw',
  required: false,
  value,
  default: null,
  possible: null,
});
const VNICS: readonly VnicRow[] = [
  { vnic: 'vnic0', overlay: 'overlay0', mac: '02:08:20:00:00:01', mtu: 1400, netns: 'blue' },
  { vnic: 'vnic1', overlay: 'overlay1', mac: '02:08:20:00:00:02', mtu: 1400, netns: null },
];

describe('create-overlay', () => {
  const created = (warnings: readonly string[] = []): Partial<Handlers> => ({
    'overlay.create': async ({ name = 'overlay7' }) => ({ name, warnings }),
  });

  it('asks for what was typed and prints the name that was chosen', async () => {
    await using daemon = await fakeDaemon({ handlers: created() });
    const args = ['-evxlan', '--search', 'files', '-v', '23', '-p', 'mtu=1400,vxlan/listen_ip=::1', '-p', 'files/config=/a.json'];
    expect(await against(daemon, 'create-overlay', ...args)).toEqual({ status: 0, stdout: 'overlay7\n', stderr: '' });
    const properties = [
      { name: 'mtu', text: '1400' },
      { name: 'vxlan/listen_ip', text: '::1' },
      { name: 'files/config', text: '/a.json' },
    ];
    expect(daemon.asked).toEqual([{ method: 'overlay.create', params: { encap: 'vxlan', search: 'files', vnetid: 23, properties } }]);
  });

  it('prints nothing but warnings for a name that was typed, right after -p', async () => {
    await using daemon = await fakeDaemon({ handlers: created(['mtu 1450 does not fit', 'plugins left out']) });
    const outcome = await against(daemon, 'create-overlay', '-e', 'vxlan', '-s', 'files', '-v', '23', '-p', 'mtu=1450', 'net0');
    const stderr = 'overlayadm: warning: mtu 1450 does not fit\noverlayadm: warning: plugins left out\n';
    expect(outcome).toEqual({ status: 0, stdout: '', stderr });
    expect(daemon.asked).toMatchObject([{ params: { name: 'net0', properties: [{ name: 'mtu', text: '1450' }] } }]);
  });

  it('shows what was refused and what to do, status 1', async () => {
    const error = new OverlayError('OVERLAY_EXISTS', 'overlay creation failed (name): net0: object already exists', {
      advice: 'Choose another\nname.',
    });
    await using daemon = await fakeDaemon({ handlers: { 'overlay.create': () => Promise.reject(error) } });
    const outcome = await against(daemon, 'create-overlay', '-e', 'vxlan', '-s', 'files', '-v', '23', 'net0');
    const stderr = 'overlayadm: overlay creation failed (name): net0: object already exists\n  Choose another\n  name.\n';
    expect(outcome).toEqual({ status: 1, stdout: '', stderr });
  });

  it('gives result or error as JSON', async () => {
    await using daemon = await fakeDaemon({ handlers: created(['careful']) });
    const good = await against(daemon, 'create-overlay', '-e', 'vxlan', '-s', 'files', '-v', '23', '--json');
    expect({ ...good, stdout: JSON.parse(good.stdout) }).toMatchObject({ status: 0, stdout: { name: 'overlay7', warnings: ['careful'] } });
    await using refusing = await fakeDaemon({ roleOf: () => 'read' });
    const bad = await against(refusing, 'create-overlay', '-e', 'vxlan', '-s', 'files', '-v', '23', '--json');
    const error = { code: 'NOT_PERMITTED', message: 'permission denied', details: { right: 'change' }, advice: expect.any(String) };
    expect({ ...bad, stdout: JSON.parse(bad.stdout) }).toEqual({ status: 1, stdout: { error }, stderr: '' });
  });

  const USAGE = 'usage: overlayadm create-overlay -e ENCAP -s SEARCH -v VNETID [-p PROP=VALUE[,...]]... [OVERLAY]\n';
  it.each([
    { args: [], text: 'missing required virtual network id\n  Add -v VNETID.\n' },
    { args: ['-v', '1'], text: 'missing required encapsulation plugin\n  Add -e ENCAP.\n' },
    { args: ['-v', '1', '-e', 'vxlan'], text: 'missing required search plugin\n  Add -s SEARCH.\n' },
    { args: ['-v', '0x10'], text: "couldn't parse virtual network id: 0x10\n  Write a whole decimal number.\n" },
    { args: ['-v', '-1'], text: "couldn't parse virtual network id: -1\n  Write a whole decimal number.\n" },
    { args: ['-v', '99999999999999999999'], text: 'virtual network id too large: 99999999999999999999\n' },
    { args: ['-x'], text: "unrecognized option '-x'\n" },
    { args: ['-e'], text: "option '--encap' requires a value\n" },
    { args: ['a', 'b'], text: 'unexpected operand: b\n' },
  ])('$args: status 2 and how to use it', async ({ args, text }) => {
    const environment = { OVERLAYADM_RUN_DIR: '/nonexistent' };
    expect(await overlayadm(['create-overlay', ...args], environment)).toEqual({ status: 2, stdout: '', stderr: `overlayadm: ${text}${USAGE}` });
  });
});

describe('delete-overlay and delete-vnic', () => {
  const remove = async ({ name }: { readonly name: string }): Promise<null> => {
    if (name === 'a') throw missing(name);
    if (name === 'b') throw new OverlayError('OVERLAY_BUSY', 'failed to delete b: link busy (vnic0)', { advice: 'Delete vnic0.' });
    return null;
  };

  it.each([
    ['delete-overlay', 'overlay.delete'],
    ['delete-vnic', 'vnic.delete'],
  ] as const)('%s goes on after failures', async (command, method) => {
    await using daemon = await fakeDaemon({ handlers: { [method]: remove } });
    expect(await against(daemon, command, 'a', 'b', 'c')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'overlayadm: failed to delete a: object not found\n  Look.\noverlayadm: failed to delete b: link busy (vnic0)\n  Delete vnic0.\n',
    });
    expect(daemon.asked).toEqual(['a', 'b', 'c'].map((name) => ({ method, params: { name } })));
  });

  it('is silent about success', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.delete': remove } });
    expect(await against(daemon, 'delete-overlay', 'c')).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  it('needs a name', async () => {
    const stderr = 'overlayadm: missing operand: overlay\nusage: overlayadm delete-overlay OVERLAY...\n';
    expect(await overlayadm(['delete-overlay'], {})).toEqual({ status: 2, stdout: '', stderr });
  });

  it('gives JSON of both kinds', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.delete': remove } });
    const { status, stdout } = await against(daemon, 'delete-overlay', '--json', 'a', 'c');
    const failed = [{ name: 'a', code: 'OVERLAY_NOT_FOUND', message: 'a: object not found', details: {}, advice: 'Look.' }];
    expect({ status, result: JSON.parse(stdout) }).toEqual({ status: 1, result: { deleted: ['c'], failed } });
  });
});

describe('show-overlay', () => {
  const handlers: Partial<Handlers> = {
    'overlay.names': async () => ['overlay0', 'gone', 'overlay1'],
    'overlay.properties': async ({ name }) => {
      if (name === 'lo') throw new OverlayError('OVERLAY_NOT_FOUND', 'lo is not an overlay');
      if (!name.startsWith('overlay')) throw missing(name);
      return [row(name, 'mtu', '1400'), row(name, 'vnetid', null)];
    },
    'overlay.health': async ({ name }) => ({
      overlay: name,
      status: 'DEGRADED',
      details: 'no \u001b[31mroute',
      since: '2026-11-20T15:20:11.000Z',
      advice: 'mend it',
    }),
    'overlay.targets': async ({ name, after }) => {
      const target = (n: number): TargetRow => ({ overlay: name, target: `2:8:20:0:0:${n}`, destination: n === 2 ? 'drop' : '192.0.2.2:4789' });
      if (after === null) return { rows: [target(1), target(2)], next: 'second' };
      return { rows: after === 'second' ? [target(3)] : [], next: after === 'second' ? 'third' : null };
    },
  };
  const HEADER = 'LINK               PROPERTY           PERM REQ VALUE      DEFAULT   POSSIBLE\n';
  const both = (name: string): string =>
    `${name}           mtu                rw   -   1400       --        --\n${name}           vnetid             rw   -   --         --        --\n`;

  it('shows all of them, and says nothing of one that was deleted meanwhile', async () => {
    await using daemon = await fakeDaemon({ handlers });
    expect(await against(daemon, 'show-overlay')).toEqual({ status: 0, stdout: `${HEADER}${both('overlay0')}${both('overlay1')}`, stderr: '' });
  });

  it('shows those that are named, warns of the others, status 1', async () => {
    await using daemon = await fakeDaemon({ handlers });
    expect(await against(daemon, 'show-overlay', 'x', 'overlay1', 'lo')).toEqual({
      status: 1,
      stdout: `${HEADER}${both('overlay1')}`,
      stderr: 'overlayadm: warning: failed to find x: object not found\noverlayadm: warning: lo is not an overlay\n',
    });
  });

  it('follows pages of targets to the end', async () => {
    await using daemon = await fakeDaemon({ handlers });
    const stdout = [
      'LINK                TARGET            DESTINATION',
      'overlay0            2:8:20:0:0:1      192.0.2.2:4789',
      'overlay0            2:8:20:0:0:2      drop',
      'overlay0            2:8:20:0:0:3      192.0.2.2:4789\n',
    ].join('\n');
    expect(await against(daemon, 'show-overlay', '-t', 'overlay0')).toEqual({ status: 0, stdout, stderr: '' });
    expect(daemon.asked.map(({ params }) => (params as { after: unknown }).after)).toEqual([null, 'second', 'third']);
  });

  it('shows health, and lets no control character through', async () => {
    await using daemon = await fakeDaemon({ handlers });
    const stdout = 'LINK                STATUS  DETAILS\noverlay0            DEGRADED no ?[31mroute (since 2026-11-20T15:20:11Z; mend it)\n';
    expect(await against(daemon, 'show-overlay', '-f', 'overlay0')).toEqual({ status: 0, stdout, stderr: '' });
  });

  it('gives rows as JSON, with null for what is not there', async () => {
    await using daemon = await fakeDaemon({ handlers });
    const { status, stdout, stderr } = await against(daemon, 'show-overlay', '--json', 'overlay0', 'x');
    expect(JSON.parse(stdout)).toEqual([row('overlay0', 'mtu', '1400'), row('overlay0', 'vnetid', null)]);
    expect({ status, stderr }).toEqual({ status: 1, stderr: 'overlayadm: warning: failed to find x: object not found\n' });
  });

  it('fails as a whole when overlayd cannot be asked', async () => {
    await using daemon = await fakeDaemon({ roleOf: () => 'none' });
    const { status, stdout, stderr } = await against(daemon, 'show-overlay', 'a', 'b');
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^overlayadm: permission denied\n {2}This needs root.*\n$/);
  });

  it('takes -f or -t, not both', async () => {
    const stderr = 'overlayadm: only one of -f and -t may be used\nusage: overlayadm show-overlay [-f | -t] [OVERLAY]...\n';
    expect(await overlayadm(['show-overlay', '-tf'], {})).toEqual({ status: 2, stdout: '', stderr });
  });
});

describe('create-vnic and show-vnic', () => {
  it('asks for what was typed and prints nothing', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'vnic.create': async () => VNICS[0] as VnicRow } });
    const args = ['-l', 'overlay0', '-m', '2:8:20:0:0:1', '-p', 'netns=blue', 'vnic0'];
    expect(await against(daemon, 'create-vnic', ...args)).toEqual({ status: 0, stdout: '', stderr: '' });
    const params = { name: 'vnic0', overlay: 'overlay0', mac: '2:8:20:0:0:1', properties: [{ name: 'netns', text: 'blue' }] };
    expect(daemon.asked).toEqual([{ method: 'vnic.create', params }]);
  });

  it('needs the overlay', async () => {
    const stderr = 'overlayadm: missing required link\n  Add -l OVERLAY.\nusage: overlayadm create-vnic -l OVERLAY [-m MAC] [-p netns=NAME] VNIC\n';
    expect(await overlayadm(['create-vnic', 'vnic0'], {})).toEqual({ status: 2, stdout: '', stderr });
  });

  it('shows those over an overlay, and warns of names that are none', async () => {
    await using daemon = await fakeDaemon({
      handlers: { 'vnic.list': async ({ overlay }) => VNICS.filter((vnic) => vnic.overlay === (overlay ?? vnic.overlay)) },
    });
    const header = 'LINK        OVER        MACADDRESS        MTU    NETNS\n';
    const line = 'vnic0       overlay0    02:08:20:00:00:01 1400   blue\n';
    expect(await against(daemon, 'show-vnic', '-l', 'overlay0')).toEqual({ status: 0, stdout: `${header}${line}`, stderr: '' });
    const stderr = 'overlayadm: warning: failed to find vnic9: object not found\n';
    expect(await against(daemon, 'show-vnic', 'vnic9', 'vnic0')).toEqual({ status: 1, stdout: `${header}${line}`, stderr });
    expect(JSON.parse((await against(daemon, 'show-vnic', '--json')).stdout)).toEqual(VNICS);
  });
});

describe('overlayadm', () => {
  it.each(['create-overlay', 'delete-overlay', 'show-overlay', 'create-vnic', 'delete-vnic', 'show-vnic'])(
    '%s --help has usage and examples',
    async (command) => {
      const { status, stdout, stderr } = await overlayadm([command, '--help'], {});
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toContain(`USAGE\n  $ overlayadm ${command}`);
      expect(stdout).toMatch(new RegExp(`EXAMPLES\\n  \\$ overlayadm ${command}`));
    },
  );

  it('says in one object what was typed wrongly, and nothing of its configuration', async () => {
    const { status, stdout } = await overlayadm(['show-vnic', '--json', '-q'], {});
    expect({ status, result: JSON.parse(stdout) }).toEqual({
      status: 2,
      result: { error: { code: 'USAGE', message: "unrecognized option '-q'", details: {} } },
    });
  });

  it('knows its subcommands', async () => {
    const stderr = "overlayadm: unknown subcommand 'melt-overlay'\nusage: overlayadm COMMAND [OPTION]... (see overlayadm --help)\n";
    expect(await overlayadm(['melt-overlay'], {})).toEqual({ status: 2, stdout: '', stderr });
  });

  it('refuses a relative run directory', async () => {
    const stderr =
      'overlayadm: OVERLAYADM_RUN_DIR: not an absolute path (run)\n  Set OVERLAYADM_RUN_DIR to a path that begins with /, or leave it unset.\n';
    expect(await overlayadm(['show-vnic'], { OVERLAYADM_RUN_DIR: 'run' })).toEqual({ status: 1, stdout: '', stderr });
  });

  it('loads neither schemas nor a logger to start', () => {
    const record = `import { registerHooks } from 'node:module';
      const seen = [];
      registerHooks({ resolve(name, context, next) { seen.push(name); return next(name, context); } });
      await import(${JSON.stringify(new URL('../../src/commands/create-overlay.ts', import.meta.url).href)});
      console.log(JSON.stringify(seen.filter((name) => !name.startsWith('.') && !name.startsWith('node:') && !name.startsWith('file:'))));`;
    const packages: string[] = JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', record], { encoding: 'utf8' }));
    expect(packages).toContain('@oclif/core');
    expect(packages).toContain('@overlayadm/api');
    for (const heavy of ['valibot', 'pino', '@overlayadm/packetio']) expect(packages).not.toContain(heavy);
  });
});
