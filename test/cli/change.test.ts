// The commands that change something, against an overlayd without a network: what is asked, said, and the status.
import type { Command } from '@oclif/core';
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import CreateOverlay from '../../src/commands/create-overlay.ts';
import CreateVnic from '../../src/commands/create-vnic.ts';
import DeleteOverlay from '../../src/commands/delete-overlay.ts';
import DeleteVnic from '../../src/commands/delete-vnic.ts';
import ModifyOverlay from '../../src/commands/modify-overlay.ts';
import ResetLinkprop from '../../src/commands/reset-linkprop.ts';
import SetLinkprop from '../../src/commands/set-linkprop.ts';
import UpOverlay from '../../src/commands/up-overlay.ts';
import type { Failed, VnicRow } from '../../src/core/rpc/protocol.ts';
import type { Handlers } from '../../src/core/rpc/server.ts';
import { type FakeDaemon, fakeDaemon } from './fake-daemon.ts';
import { runHere } from './in-process.ts';
import { type Outcome, overlayadm } from './overlayadm.ts';

const COMMANDS = {
  'create-overlay': CreateOverlay,
  'create-vnic': CreateVnic,
  'delete-overlay': DeleteOverlay,
  'delete-vnic': DeleteVnic,
  'modify-overlay': ModifyOverlay,
  'reset-linkprop': ResetLinkprop,
  'set-linkprop': SetLinkprop,
  'up-overlay': UpOverlay,
} as unknown as Readonly<Record<string, typeof Command>>;

function run([name = '', ...args]: readonly string[], runDirectory: string): Promise<Outcome> {
  const command = COMMANDS[name];
  if (command === undefined) throw new Error(`no command ${name}`);
  return runHere(command, args, { OVERLAYADM_RUN_DIR: runDirectory });
}

const against = (daemon: FakeDaemon, ...args: string[]): Promise<Outcome> => run(args, daemon.run);
const missing = (name: string) => new OverlayError('OVERLAY_NOT_FOUND', `${name}: object not found`, { advice: 'Look.' });
const VNIC: VnicRow = {
  vnic: 'vnic0',
  overlay: 'overlay0',
  mac: '02:08:20:00:00:01',
  mtu: 1400,
  vid: 7,
  netns: 'blue',
  state: 'up',
  persistent: true,
};

/** Mistakes that need no overlayd: status 2, the text, and how to use the command. */
async function expectUsage(command: string, args: readonly string[], text: string, usage: string): Promise<void> {
  expect(await run([command, ...args], '/nonexistent')).toEqual({
    status: 2,
    stdout: '',
    stderr: `overlayadm: ${text}\nusage: overlayadm ${usage}\n`,
  });
}

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
    const params = { encap: 'vxlan', search: 'files', vnetid: 23, properties, temporary: false };
    expect(daemon.asked).toEqual([{ method: 'overlay.create', params }]);
  });

  it('prints nothing but warnings for a name that was typed, right after -p', async () => {
    await using daemon = await fakeDaemon({ handlers: created(['mtu 1450 does not fit', 'plugins left out']) });
    const outcome = await against(daemon, 'create-overlay', '-t', '-e', 'vxlan', '-s', 'files', '-v', '23', '-p', 'mtu=1450', 'net0');
    const stderr = 'overlayadm: warning: mtu 1450 does not fit\noverlayadm: warning: plugins left out\n';
    expect(outcome).toEqual({ status: 0, stdout: '', stderr });
    expect(daemon.asked).toMatchObject([{ params: { name: 'net0', properties: [{ name: 'mtu', text: '1450' }], temporary: true } }]);
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

  const USAGE = 'create-overlay [-t] -e ENCAP -s SEARCH -v VNETID [-p PROP=VALUE[,...]]... [OVERLAY]';
  const LONG = 'x'.repeat(32);
  const NAME =
    'A name has at most 15 characters: a letter, then letters, digits, "_" and ".", and at the end a number without leading zero, as in overlay0.';
  const ALL = ['-v', '1', '-e', 'vxlan', '-s', 'files'];
  // In the order of dladm: each line has the mistakes of the lines after it too, where that can be.
  it.each([
    { args: ['-x'], text: "unrecognized option '-x'" },
    { args: ['-e'], text: "option '--encap' requires a value" },
    {
      args: ['-e', LONG, '-s', LONG],
      text: `encapsulation plugin name too long '${LONG}'\n  A plugin name has at most 31 characters.`,
    },
    { args: ['-s', LONG, '-v', 'x'], text: `search plugin name too long '${LONG}'\n  A plugin name has at most 31 characters.` },
    { args: ['-v', '0x10'], text: "couldn't parse virtual network id: 0x10\n  Write a whole decimal number." },
    { args: ['-v', '99999999999999999999'], text: 'virtual network id too large: 99999999999999999999' },
    { args: [], text: 'missing required virtual network id\n  Add -v VNETID.' },
    { args: ['-v', '1'], text: 'missing required encapsulation plugin\n  Add -e ENCAP.' },
    { args: ['-v', '1', '-e', 'vxlan'], text: 'missing required search plugin\n  Add -s SEARCH.' },
    { args: [...ALL, 'a', 'b'], text: 'unexpected operand: b' },
    { args: [...ALL, '-p', 'a', 'net0'], text: "no value specified for 'a'\n  Write -p prop=value[,prop=value...]." },
    {
      args: [...ALL, '-p', 'mtu=1400,files/config=/a,b.json', 'net0'],
      text: "invalid property list 'mtu=1400,files/config=/a,b.json': 'b.json' would be a second value of files/config\n  Write -p prop=value[,prop=value...]. There is no quoting: a value can contain neither , nor =. Understood until there: mtu is '1400'; files/config is '/a'.",
    },
  ])('$args', ({ args, text }) => expectUsage('create-overlay', args, text, USAGE));

  // Before the properties, as dladm does, and as overlayd would say it.
  it.each([
    ['abcdefghijklmno0', 'link name too long'],
    ['net01', 'invalid link name'],
    ['0', 'invalid link name'],
  ])('%s: %s', async (name, text) => {
    const stderr = `overlayadm: ${text} '${name}'\n  ${NAME}\n`;
    expect(await run(['create-overlay', ...ALL, '-p', 'a', name], '/nonexistent')).toEqual({ status: 1, stdout: '', stderr });
    expect(await run(['create-vnic', '-l', 'overlay0', '-p', 'a', name], '/nonexistent')).toEqual({ status: 1, stdout: '', stderr });
  });
});

describe('create-vnic', () => {
  it('asks for what was typed and prints nothing', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'vnic.create': async () => VNIC } });
    const args = ['-t', '-l', 'overlay0', '-m', '2:8:20:0:0:1', '-v', '7', '-p', 'netns=blue', 'vnic0'];
    expect(await against(daemon, 'create-vnic', ...args)).toEqual({ status: 0, stdout: '', stderr: '' });
    const properties = [{ name: 'netns', text: 'blue' }];
    const params = { name: 'vnic0', overlay: 'overlay0', mac: '2:8:20:0:0:1', vid: 7, properties, temporary: true };
    expect(daemon.asked).toEqual([{ method: 'vnic.create', params }]);
  });

  it('asks for nothing that was not typed', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'vnic.create': async () => VNIC } });
    const { status, stdout } = await against(daemon, 'create-vnic', '--json', '-l', 'overlay0', 'vnic0');
    expect({ status, result: JSON.parse(stdout) }).toEqual({ status: 0, result: VNIC });
    expect(daemon.asked).toEqual([{ method: 'vnic.create', params: { name: 'vnic0', overlay: 'overlay0', properties: [], temporary: false } }]);
  });

  const USAGE = 'create-vnic [-t] -l OVERLAY [-m MAC] [-v VID] [-p PROP=VALUE[,...]]... VNIC';
  it.each([
    { args: ['vnic0'], text: 'missing required link\n  Add -l OVERLAY.' },
    { args: ['-l', '', 'vnic0'], text: 'missing required link\n  Add -l OVERLAY.' },
    {
      args: ['-l', 'overlay0', '-m', '', 'vnic0'],
      text: 'invalid mac address: \n  Write six numbers of one or two hexadecimal digits with : between them.',
    },
    { args: ['-l', 'overlay0'], text: 'missing operand: vnic' },
    { args: ['-l', 'overlay0', '-v', '4095', 'vnic0'], text: "invalid vlan-id '4095'\n  Write a number from 1 to 4094." },
    { args: ['-l', 'overlay0', '-v', '0', 'vnic0'], text: "invalid vlan-id '0'\n  Write a number from 1 to 4094." },
  ])('$args', ({ args, text }) => expectUsage('create-vnic', args, text, USAGE));
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
    expect(await against(daemon, command, '-t', 'a', 'b', 'c')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'overlayadm: failed to delete a: object not found\n  Look.\noverlayadm: failed to delete b: link busy (vnic0)\n  Delete vnic0.\n',
    });
    expect(daemon.asked).toEqual(['a', 'b', 'c'].map((name) => ({ method, params: { name, temporary: true } })));
  });

  it('is silent about success', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.delete': remove } });
    expect(await against(daemon, 'delete-overlay', 'c')).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(daemon.asked).toEqual([{ method: 'overlay.delete', params: { name: 'c', temporary: false } }]);
  });

  it('needs a name', () => expectUsage('delete-overlay', [], 'missing operand: overlay', 'delete-overlay [-t] OVERLAY...'));

  it('gives JSON of both kinds', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.delete': remove } });
    const { status, stdout } = await against(daemon, 'delete-overlay', '--json', 'a', 'c');
    const failed = [{ name: 'a', code: 'OVERLAY_NOT_FOUND', message: 'failed to delete a: object not found', details: {}, advice: 'Look.' }];
    expect({ status, result: JSON.parse(stdout) }).toEqual({ status: 1, result: { deleted: ['c'], failed } });
  });
});

describe('modify-overlay', () => {
  it.each([
    { args: ['-d', 'DE:ad:be:ef:0:0'], method: 'target.remove', params: { mac: 'DE:ad:be:ef:0:0' } },
    { args: ['-f'], method: 'target.flush', params: {} },
    { args: ['-s', '2:8:20:0:0:1=[2001:db8::7]:4789'], method: 'target.set', params: { mac: '2:8:20:0:0:1', destination: '[2001:db8::7]:4789' } },
    { args: ['--set-entry', '2:8:20:0:0:1=drop'], method: 'target.set', params: { mac: '2:8:20:0:0:1', destination: 'drop' } },
  ] as const)('$args', async ({ args, method, params }) => {
    await using daemon = await fakeDaemon({ handlers: { [method]: async () => null } });
    expect(await against(daemon, 'modify-overlay', ...args, 'overlay0')).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(daemon.asked).toEqual([{ method, params: { overlay: 'overlay0', ...params } }]);
  });

  const refuse = (error: OverlayError): Partial<Handlers> => {
    const handler = (): Promise<never> => Promise.reject(error);
    return { 'target.remove': handler, 'target.flush': handler, 'target.set': handler };
  };
  const POINT = new OverlayError('TARGET_POINT', 'overlay0: operation not supported (all goes to one destination)');

  it.each([
    {
      args: ['-d', 'de:ad:be:ef:0:0'],
      error: POINT,
      text: 'failed to flush target de:ad:be:ef:0:0 from overlay target cache overlay0: operation not supported (all goes to one destination)',
    },
    {
      args: ['-f'],
      error: POINT,
      text: 'failed to flush target cache for overlay overlay0: operation not supported (all goes to one destination)',
    },
    {
      args: ['-s', '2:8:20:0:0:1=192.0.2.7'],
      error: new OverlayError('TARGET_VALUE', '192.0.2.7: no port'),
      text: 'failed to set target 2:8:20:0:0:1=192.0.2.7 for overlay target cache overlay0: no port',
    },
    {
      args: ['-d', '2:8:20:0:0:1'],
      error: new OverlayError('TARGET_NOT_FOUND', '2:8:20:0:0:1: object not found'),
      text: 'failed to flush target 2:8:20:0:0:1 from overlay target cache overlay0: object not found',
    },
    { args: ['-f'], error: missing('overlay0'), text: 'failed to find overlay overlay0: object not found\n  Look.' },
  ])('$args: $text', async ({ args, error, text }) => {
    await using daemon = await fakeDaemon({ handlers: refuse(error) });
    expect(await against(daemon, 'modify-overlay', ...args, 'overlay0')).toEqual({ status: 1, stdout: '', stderr: `overlayadm: ${text}\n` });
  });

  const USAGE = 'modify-overlay -d MAC | -f | -s MAC=DEST OVERLAY';
  // What else can be wrong with the options is in test/unit/cli/arguments.test.ts.
  it.each([
    { args: ['overlay0'], text: 'need to specify one of -d, -f, or -s' },
    { args: ['-ff', 'overlay0'], text: 'the option -f cannot be specified more than once' },
    {
      args: ['-s', '1:2:3:4:5:6', 'overlay0'],
      text: 'malformed value, expected mac=dest, got: 1:2:3:4:5:6\n  dest is ip:port, [ipv6]:port, or drop.',
    },
    { args: ['-f'], text: 'missing required overlay device' },
    { args: ['-f', 'a', 'b'], text: 'only one overlay device may be specified' },
    { args: ['--flush-table=yes', 'a'], text: "option '--flush-table' takes no value" },
    { args: ['-f', ''], text: 'an operand is empty\n  Leave it out, or write a name.' },
    { args: ['-f', 'x'.repeat(256)], text: `name too long '${'x'.repeat(40)}...'\n  At most 255 characters.` },
  ])('$args', ({ args, text }) => expectUsage('modify-overlay', args, text, USAGE));

  it('gives JSON', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'target.flush': async () => null, 'target.remove': () => Promise.reject(POINT) } });
    const good = await against(daemon, 'modify-overlay', '--json', '-f', 'overlay0');
    expect({ ...good, stdout: JSON.parse(good.stdout) }).toEqual({ status: 0, stdout: null, stderr: '' });
    const bad = await against(daemon, 'modify-overlay', '--json', '-d', '1:2:3:4:5:6', 'overlay0');
    expect({ ...bad, stdout: JSON.parse(bad.stdout) }).toMatchObject({ status: 1, stdout: { error: { code: 'TARGET_POINT' } }, stderr: '' });
  });
});

describe('set-linkprop and reset-linkprop', () => {
  const both = (handler: () => Promise<{ readonly warnings: readonly string[] }>): Partial<Handlers> => ({
    'linkprop.set': handler,
    'linkprop.reset': handler,
  });

  it('asks for what was typed, and shows warnings', async () => {
    await using daemon = await fakeDaemon({ handlers: both(async () => ({ warnings: ['mtu 1450 does not fit'] })) });
    const stderr = 'overlayadm: warning: mtu 1450 does not fit\n';
    expect(await against(daemon, 'set-linkprop', '-t', '-p', 'mtu=1450,netns=blue', 'vnic0')).toEqual({ status: 0, stdout: '', stderr });
    expect(await against(daemon, 'reset-linkprop', '-p', 'mtu,netns', '-p', 'mtu', 'vnic0')).toEqual({ status: 0, stdout: '', stderr });
    const all = await against(daemon, 'reset-linkprop', '--json', '-t', 'vnic0');
    expect(JSON.parse(all.stdout)).toEqual({ warnings: ['mtu 1450 does not fit'] });
    const properties = [
      { name: 'mtu', text: '1450' },
      { name: 'netns', text: 'blue' },
    ];
    expect(daemon.asked).toEqual([
      { method: 'linkprop.set', params: { link: 'vnic0', properties, temporary: true } },
      { method: 'linkprop.reset', params: { link: 'vnic0', properties: ['mtu', 'netns'], temporary: false } },
      { method: 'linkprop.reset', params: { link: 'vnic0', properties: null, temporary: true } },
    ]);
  });

  const busy = (details: Readonly<Record<string, unknown>>) =>
    new OverlayError('LINK_BUSY', 'overlay0: link busy (vnic0 has mtu 1400)', { details, advice: 'Lower that of vnic0.' });

  it.each([
    { args: ['set-linkprop', '-p', 'mtu=1280'], details: {}, text: "cannot set link property 'mtu' on 'overlay0': " },
    { args: ['set-linkprop', '-p', 'mtu=1280,a=1'], details: { property: 'mtu' }, text: "cannot set link property 'mtu' on 'overlay0': " },
    { args: ['set-linkprop', '-p', 'mtu=1280,a=1'], details: {}, text: "cannot set link properties 'mtu', 'a' on 'overlay0': " },
    { args: ['reset-linkprop', '-p', 'mtu'], details: {}, text: "cannot reset link property 'mtu' on 'overlay0': " },
    { args: ['reset-linkprop'], details: {}, text: "cannot reset link properties on 'overlay0': " },
  ])('$args: $text', async ({ args, details, text }) => {
    await using daemon = await fakeDaemon({ handlers: both(() => Promise.reject(busy(details))) });
    const stderr = `overlayadm: ${text}link busy (vnic0 has mtu 1400)\n  Lower that of vnic0.\n`;
    expect(await against(daemon, ...args, 'overlay0')).toEqual({ status: 1, stdout: '', stderr });
  });

  it('names link and property once, wherever overlayd has them', async () => {
    for (const named of ['overlay0', 'mtu']) {
      await using daemon = await fakeDaemon({ handlers: both(() => Promise.reject(new OverlayError('LINK_BUSY', `${named}: link busy (v0)`))) });
      const stderr = "overlayadm: cannot set link property 'mtu' on 'overlay0': link busy (v0)\n";
      expect(await against(daemon, 'set-linkprop', '-p', 'mtu=1280', 'overlay0')).toEqual({ status: 1, stdout: '', stderr });
    }
  });

  it('says which link is none', async () => {
    await using daemon = await fakeDaemon({ handlers: both(() => Promise.reject(missing('net9'))) });
    const stderr = 'overlayadm: link net9 is not valid: object not found\n  Look.\n';
    expect(await against(daemon, 'set-linkprop', '-p', 'mtu=1400', 'net9')).toEqual({ status: 1, stdout: '', stderr });
  });

  it.each([
    { command: 'set-linkprop', args: ['vnic0'], text: 'link property must be specified\n  Add -p PROP=VALUE.' },
    { command: 'set-linkprop', args: ['-p', 'mtu', 'vnic0'], text: "no value specified for 'mtu'\n  Write -p prop=value[,prop=value...]." },
    { command: 'set-linkprop', args: ['-p', 'mtu=1400'], text: 'missing operand: link' },
    {
      command: 'reset-linkprop',
      args: ['-p', 'mtu=1400', 'vnic0'],
      text: 'invalid link properties specified\n  Write -p prop[,prop...]: names only, without values.',
    },
  ])('$command $args', ({ command, args, text }) =>
    expectUsage(
      command,
      args,
      text,
      command === 'set-linkprop' ? 'set-linkprop [-t] -p PROP=VALUE[,...] LINK' : 'reset-linkprop [-t] [-p PROP[,...]] LINK',
    ),
  );
});

describe('up-overlay', () => {
  const failed: readonly Failed[] = [
    { name: 'overlay1', code: 'PLUGIN_NOT_FOUND', message: 'overlay1: no plugin geneve', details: {}, advice: 'Install it.' },
    { name: 'vnic3', code: 'VNIC_EXISTS', message: 'object already exists', details: {} },
  ];

  it('asks for one or for all, and is silent', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.up': async () => ({ up: ['overlay0'], failed: [], warnings: [] }) } });
    expect(await against(daemon, 'up-overlay')).toEqual({ status: 0, stdout: '', stderr: '' });
    const { stdout } = await against(daemon, 'up-overlay', '--json', 'overlay0');
    expect(JSON.parse(stdout)).toEqual({ up: ['overlay0'], failed: [], warnings: [] });
    expect(daemon.asked).toEqual([null, 'overlay0'].map((name) => ({ method: 'overlay.up', params: { name } })));
  });

  it('shows each failure, status 1', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.up': async () => ({ up: ['overlay0'], failed, warnings: ['careful'] }) } });
    const lines = ['warning: careful', 'overlay1: no plugin geneve\n  Install it.', 'vnic3: object already exists', 'could not bring overlays up'];
    expect(await against(daemon, 'up-overlay')).toEqual({ status: 1, stdout: '', stderr: lines.map((line) => `overlayadm: ${line}\n`).join('') });
    const { status, stdout } = await against(daemon, 'up-overlay', '--json');
    expect({ status, result: JSON.parse(stdout) }).toEqual({ status: 1, result: { up: ['overlay0'], failed, warnings: ['careful'] } });
  });

  it('says so of one that is not saved', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.up': () => Promise.reject(missing('net9')) } });
    const stderr = "overlayadm: could not bring up overlay 'net9': object not found\n  Look.\n";
    expect(await against(daemon, 'up-overlay', 'net9')).toEqual({ status: 1, stdout: '', stderr });
  });
});

it.each(Object.entries(COMMANDS))('%s says how it is used', (name, { usage, examples, summary, description }) => {
  expect(usage).toMatch(new RegExp(`^${name} `));
  expect((examples as string[]).every((text) => text.startsWith(`<%= config.bin %> ${name}`))).toBe(true);
  expect([summary, description]).toEqual([expect.stringMatching(/\.$/), expect.stringMatching(/\.$/)]);
});

describe('as processes', () => {
  const environment = { OVERLAYADM_RUN_DIR: '/nonexistent' };

  it.each([['create-overlay'], ['plugins install']])('%s has help with usage and examples', async (command) => {
    const { status, stdout, stderr } = await overlayadm([...command.split(' '), '--help'], environment);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`USAGE\n  $ overlayadm ${command}`);
    expect(stdout).toMatch(new RegExp(`EXAMPLES\\n  \\$ overlayadm ${command}`));
  });

  it('end with the status and the text', async () => {
    const stderr = 'overlayadm: need to specify one of -d, -f, or -s\nusage: overlayadm modify-overlay -d MAC | -f | -s MAC=DEST OVERLAY\n';
    expect(await overlayadm(['modify-overlay', 'overlay0'], environment)).toEqual({ status: 2, stdout: '', stderr });
    await using daemon = await fakeDaemon({ handlers: { 'target.flush': async () => null } });
    expect(await overlayadm(['modify-overlay', '-f', 'overlay0'], { OVERLAYADM_RUN_DIR: daemon.run })).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});
