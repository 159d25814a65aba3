// The show commands over an overlayd without a network: what each prints in its three forms, warns of, and ends with.
// Every command line goes through both paths, which have to agree.
import { OverlayError } from '@overlayadm/api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Handlers } from '../../src/core/rpc/server.ts';
import { schemaOf, violations } from '../helpers/json-schema.ts';
import { type FakeDaemon, fakeDaemon } from './fake-daemon.ts';
import type { Outcome } from './overlayadm.ts';
import { LINKS, PLUGINS, showHandlers, VNICS } from './show-daemon.ts';
import { type TwoPaths, twoPaths } from './two-paths.ts';

let paths: TwoPaths;
let daemon: FakeDaemon;
beforeAll(async () => {
  paths = await twoPaths();
  daemon = await fakeDaemon({ handlers: showHandlers() });
});
afterAll(async () => {
  paths[Symbol.dispose]();
  await daemon[Symbol.asyncDispose]();
});

/** A command line as one types it; nothing in these has a blank in it. */
const words = (line: string): string[] => line.split(' ');
const show = (line: string): Promise<Outcome> => paths.run(daemon.run, words(line), 'thin');

interface Golden {
  readonly line: string;
  readonly stdout?: readonly string[];
  readonly stderr?: readonly string[];
  readonly status?: number;
}

const text = (lines: readonly string[] = []): string => lines.map((line) => `${line}\n`).join('');

function golden(cases: readonly Golden[]): void {
  it.each(cases)('$line', async ({ line, stdout, stderr, status = 0 }) => {
    expect(await show(line)).toEqual({ status, stdout: text(stdout), stderr: text(stderr) });
  });
}

const PROPERTY_HEADER = 'LINK               PROPERTY           PERM REQ VALUE      DEFAULT   POSSIBLE';
const HEALTH_HEADER = 'LINK                STATUS  DETAILS';
const TARGET_HEADER = 'LINK                TARGET            DESTINATION';
const propertiesOf = (name: string): string[] => [
  `${name}           mtu                rw   -   1400       --        --`,
  `${name}           vxlan/listen_ip    rw   -   2001:db8::1 --       --`,
];
const DEGRADED = 'overlay1            DEGRADED no ?[31mroute, 2 times (since 2026-11-20T15:20:11Z; mend it)';
const DOWN = 'overlay3            DOWN    saved, not up (overlayadm up-overlay overlay3)';
const notFound = (name: string): string => `overlayadm: warning: failed to find ${name}: object not found`;

describe('show-overlay', () => {
  golden([
    { line: 'show-overlay', stdout: [PROPERTY_HEADER, ...propertiesOf('overlay0'), ...propertiesOf('overlay1')] },
    {
      line: 'show-overlay x overlay1 lo odd0',
      stdout: [PROPERTY_HEADER, ...propertiesOf('overlay1')],
      stderr: [
        notFound('x'),
        'overlayadm: warning: lo is not an overlay',
        'overlayadm: warning: failed to show odd0: its state cannot be read',
        '  Look.',
      ],
      status: 1,
    },
    {
      line: 'show-overlay -o property,link overlay0',
      stdout: ['PROPERTY           LINK', 'mtu                overlay0', 'vxlan/listen_ip    overlay0'],
    },
    {
      line: 'show-overlay -p -o link,property,value,default overlay0',
      stdout: ['overlay0:mtu:1400:--', 'overlay0:vxlan/listen_ip:2001\\:db8\\:\\:1:--'],
    },
    { line: 'show-overlay --parseable --output=VALUE overlay0', stdout: ['1400', '2001:db8::1'] },
    { line: 'show-overlay -o all overlay0', stdout: [PROPERTY_HEADER, ...propertiesOf('overlay0')] },
    {
      line: 'show-overlay -o nope,property overlay0',
      stdout: ['PROPERTY', 'mtu', 'vxlan/listen_ip'],
      stderr: ["overlayadm: warning: ignoring unknown output field: `nope'"],
    },
    { line: 'show-overlay -f', stdout: [HEALTH_HEADER, 'overlay0            ONLINE  -', DEGRADED, 'overlay2            ONLINE  -', DOWN] },
    { line: 'show-overlay -f --check overlay0 overlay3', stdout: [HEALTH_HEADER, 'overlay0            ONLINE  -', DOWN] },
    { line: 'show-overlay overlay3', stderr: ['overlayadm: warning: failed to show overlay3: saved, but not up', '  Bring up overlay3.'], status: 1 },
    { line: 'show-overlay -f --check overlay0', stdout: [HEALTH_HEADER, 'overlay0            ONLINE  -'] },
    { line: 'show-overlay -f --check overlay1', stdout: [HEALTH_HEADER, DEGRADED], status: 3 },
    { line: 'show-overlay -f --check overlay1 x', stdout: [HEALTH_HEADER, DEGRADED], stderr: [notFound('x')], status: 1 },
    { line: 'show-overlay -fpo link,status,details overlay0', stdout: ['overlay0:ONLINE:-'] },
    {
      line: 'show-overlay -t overlay0',
      stdout: [
        TARGET_HEADER,
        'overlay0            2:8:20:0:0:1      [2001:db8::1]:4789',
        'overlay0            2:8:20:0:0:2      drop',
        'overlay0            2:8:20:0:0:3      [2001:db8::1]:4789',
      ],
    },
    {
      line: 'show-overlay -tpo target,destination overlay0',
      stdout: [
        '2\\:8\\:20\\:0\\:0\\:1:[2001\\:db8\\:\\:1]\\:4789',
        '2\\:8\\:20\\:0\\:0\\:2:drop',
        '2\\:8\\:20\\:0\\:0\\:3:[2001\\:db8\\:\\:1]\\:4789',
      ],
    },
    {
      line: 'show-overlay -t -p -o destination overlay1 overlay0',
      stdout: ['[2001:db8::1]:4789', 'drop', '[2001:db8::1]:4789', 'drop', '[2001:db8::1]:4789'],
      stderr: [notFound('overlay1')],
      status: 1,
    },
  ]);

  it('asks for saved overlays under -f only, and follows the pages of targets to the end', async () => {
    const from = daemon.asked.length;
    await show('show-overlay -t overlay0');
    await show('show-overlay -f');
    const asked = daemon.asked.slice(from).map(({ method, params }) => ({ method, ...(params as object) }));
    expect(asked.filter(({ method }) => method === 'overlay.targets').map((params) => (params as { after?: unknown }).after)).toEqual(
      // Once by each path.
      [null, 'second', 'third', null, 'second', 'third'],
    );
    expect(asked).toContainEqual({ method: 'overlay.names', saved: true });
    await show('show-overlay');
    expect(daemon.asked).toContainEqual({ method: 'overlay.names', params: { saved: false } });
  });
});

const VNIC_HEADER = 'LINK        OVER        MACADDRESS        MTU    VID  NETNS          STATE';
const VNIC0 = 'vnic0       overlay0    02:08:20:00:00:01 1400   0    blue           up';

describe('show-vnic', () => {
  golden([
    {
      line: 'show-vnic',
      stdout: [
        VNIC_HEADER,
        VNIC0,
        'vnic1       overlay1    02:08:20:00:00:02 1400   7    --             up',
        'vnic2       overlay1    02:08:20:00:00:03 1400   0    red            waiting for namespace red',
      ],
    },
    { line: 'show-vnic -l overlay0', stdout: [VNIC_HEADER, VNIC0] },
    { line: 'show-vnic overlay0', stderr: ['overlayadm: warning: overlay0 is not a VNIC'], status: 1 },
    { line: 'show-vnic vnic9 vnic0', stdout: [VNIC_HEADER, VNIC0], stderr: [notFound('vnic9')], status: 1 },
    {
      line: 'show-vnic -po macaddress,netns,state,persistent',
      stdout: [
        '02\\:08\\:20\\:00\\:00\\:01:blue:up:y',
        '02\\:08\\:20\\:00\\:00\\:02::up:-',
        '02\\:08\\:20\\:00\\:00\\:03:red:waiting for namespace red:y',
      ],
    },
    { line: 'show-vnic --link=overlay7' },
  ]);
});

describe('show-link', () => {
  golden([
    {
      line: 'show-link',
      stdout: [
        'LINK        CLASS     MTU    STATE    OVER',
        'overlay0    overlay   1400   up       --',
        'overlay1    overlay   1400   up       --',
        'vnic0       vnic      1400   up       overlay0',
        'vnic1       vnic      1400   up       overlay1',
        'vnic2       vnic      1400   waiting for namespace red overlay1',
      ],
    },
    { line: 'show-link -p -o link,over,netns vnic0', stdout: ['vnic0:overlay0:blue'] },
    { line: 'show-link x0', stderr: ['overlayadm: link x0 is not valid: object not found', '  See overlayadm show-link.'], status: 1 },
    { line: 'show-link overlay3', stderr: ['overlayadm: overlay3: saved, but not up', '  Bring up overlay3.'], status: 1 },
    { line: 'show-link -s x0', stderr: ['overlayadm: link x0 is not valid: object not found', '  See overlayadm show-link.'], status: 1 },
  ]);

  it('-s leaves out a VNIC that is not there, unless it is asked for', async () => {
    const statistics: Handlers['link.statistics'] = async ({ link }) => {
      if (link === 'vnic2') throw new OverlayError('VNIC_ABSENT', 'vnic2: is not there (waiting for namespace red)');
      return { ...STATISTICS, link };
    };
    await using own = await fakeDaemon({ handlers: { ...showHandlers(), 'link.statistics': statistics } });
    const all = await paths.run(own.run, words('show-link -spo link'), 'thin');
    expect(all).toEqual({ status: 0, stdout: text(['overlay0', 'overlay1', 'vnic0', 'vnic1']), stderr: '' });
    const stderr = 'overlayadm: vnic2: is not there (waiting for namespace red)\n';
    expect(await paths.run(own.run, words('show-link -s vnic2'), 'thin')).toEqual({ status: 1, stdout: '', stderr });
  });

  it('-s shows counters, drops by reason wrapped', async () => {
    await using own = await fakeDaemon({ handlers: { ...showHandlers(), 'link.statistics': async ({ link }) => ({ ...STATISTICS, link }) } });
    const { stdout } = await paths.run(own.run, words('show-link -s overlay0'), 'thin');
    expect(stdout).toBe(
      text([
        'LINK        IPACKETS   RBYTES       OPACKETS   OBYTES       MISSES   QUEUED   DROPS',
        'overlay0    1          2            3          4            5        6        target.refused=7,',
        '                                                                              target.queue-full=8',
      ]),
    );
    expect((await paths.run(own.run, words('show-link -spo link,drops'), 'thin')).stdout).toBe(
      text(LINKS.map(({ link }) => `${link}:target.refused=7,target.queue-full=8`)),
    );
    const json = await paths.run(own.run, words('show-link -s --json'), 'thin');
    expect(violations(JSON.parse(json.stdout), schemaOf('show-link-s'))).toEqual([]);
    expect(JSON.parse(json.stdout)).toHaveLength(LINKS.length);
  });
});

const STATISTICS = {
  link: '',
  receivedFrames: '1',
  receivedBytes: '2',
  sentFrames: '3',
  sentBytes: '4',
  misses: '5',
  queued: '6',
  drops: { 'target.refused': '7', 'target.queue-full': '8' },
};

const LINKPROP_HEADER = 'LINK         PROPERTY        PERM VALUE          DEFAULT        POSSIBLE';

describe('show-linkprop', () => {
  golden([
    {
      line: 'show-linkprop overlay0 vnic0',
      stdout: [
        LINKPROP_HEADER,
        'overlay0     mtu             rw   1400           1400           576-8900',
        'vnic0        mtu             rw   1400           1400           576-8900',
        'vnic0        netns           rw   --             --             --',
      ],
    },
    {
      line: 'show-linkprop -P -p netns',
      stdout: [LINKPROP_HEADER, ...[0, 1, 2].map((n) => `vnic${n}        netns           rw   blue           --             --`)],
    },
    { line: 'show-linkprop -c -o property,value,default -p netns,mtu vnic0', stdout: ['netns::', 'mtu:1400:1400'] },
    { line: 'show-linkprop -co value -p mtu -p netns vnic0', stdout: ['1400', ''] },
    {
      line: 'show-linkprop -p netns,zone overlay0',
      stderr: ["overlayadm: warning: invalid link property 'netns'", "overlayadm: warning: invalid link property 'zone'"],
      status: 1,
    },
    {
      line: 'show-linkprop x0 overlay0',
      stdout: [LINKPROP_HEADER, 'overlay0     mtu             rw   1400           1400           576-8900'],
      stderr: ['overlayadm: warning: link x0 is not valid: object not found'],
      status: 1,
    },
  ]);
});

const PLUGIN_WARNINGS = [
  'overlayadm: warning: lookup plugin odd: api 7, 1 is known',
  'overlayadm: warning: twice: left out, its name is taken by odd',
];

describe('show-plugins', () => {
  golden([
    {
      line: 'show-plugins',
      stdout: [
        'KIND   NAME        PACKAGE                     VERSION  API UID   PROPERTIES',
        'encap  vxlan       @overlayadm/plugin-vxlan    0.1.0    1   0     vxlan/listen_ip',
        'lookup odd         odd                         9.0.0    7   998   ?',
      ],
      stderr: PLUGIN_WARNINGS,
    },
    {
      line: 'show-plugins -po name,pid,properties,problem',
      stdout: ['vxlan:12:vxlan/listen_ip:', 'odd::?:api 7, 1 is known'],
      stderr: PLUGIN_WARNINGS,
    },
    { line: 'show-plugins -po name,uid vxlan', stdout: ['vxlan:0'] },
    { line: 'show-plugins -po name nope vxlan', stdout: ['vxlan'], stderr: [notFound('nope')], status: 1 },
  ]);
});

describe('what was typed wrongly', () => {
  const USAGE = {
    overlay: 'usage: overlayadm show-overlay [-f [--check] | -t] [[-p] -o FIELD,...] [OVERLAY]...',
    vnic: 'usage: overlayadm show-vnic [-l OVERLAY] [[-p] -o FIELD,...] [VNIC]...',
    link: 'usage: overlayadm show-link [-s [-i INTERVAL]] [[-p] -o FIELD,...] [LINK]',
    linkprop: 'usage: overlayadm show-linkprop [-P] [[-c] -o FIELD,...] [-p PROP,...] [LINK]...',
  };
  const targets = '  Fields: link, target, destination.';
  const wrong = (line: string, what: string, usage: string, ...advice: string[]): Golden => ({
    line,
    stderr: [`overlayadm: ${what}`, ...advice, usage],
    status: 2,
  });
  golden([
    wrong('show-overlay -tf', 'only one of -f and -t may be used', USAGE.overlay),
    wrong('show-overlay ', 'an operand is empty', USAGE.overlay, '  Leave it out, or write a name.'),
    wrong(`show-link ${'x'.repeat(256)}`, `name too long '${'x'.repeat(40)}...'`, USAGE.link, '  At most 255 characters.'),
    wrong('show-overlay --check', 'the option --check can be used only with -f', USAGE.overlay),
    wrong('show-overlay -t -p', 'output fields must be specified in parsable mode', USAGE.overlay, targets),
    wrong('show-overlay -t -p -o all', 'output fields must be specified in parsable mode', USAGE.overlay, targets),
    wrong('show-overlay -t -p -o link,x', "unknown output field: `x'", USAGE.overlay, targets),
    wrong('show-overlay -t -p -o link,x,y', "unknown output fields: `x' `y'", USAGE.overlay, targets),
    wrong('show-overlay -t -o x', 'no valid output fields', USAGE.overlay, targets),
    wrong(
      'show-vnic -p',
      'output fields must be specified in parsable mode',
      USAGE.vnic,
      '  Fields: link, over, macaddress, mtu, vid, netns, persistent, state.',
    ),
    wrong('show-link -i 1', 'the option -i can be used only with -s', USAGE.link),
    wrong('show-link -s -i 0', "invalid interval value '0'", USAGE.link, '  Write whole seconds, 1 to 1000000.'),
    wrong('show-link -s -i 1.5', "invalid interval value '1.5'", USAGE.link, '  Write whole seconds, 1 to 1000000.'),
    wrong('show-linkprop -p a=1', 'invalid link properties specified', USAGE.linkprop, '  Write -p prop[,prop...].'),
    wrong(
      'show-linkprop -c',
      'output fields must be specified in parsable mode',
      USAGE.linkprop,
      '  Fields: link, property, perm, value, default, possible.',
    ),
  ]);

  it.each([
    { line: 'show-overlay -x', what: "unrecognized option '-x'", usage: USAGE.overlay },
    { line: 'show-overlay --outp link', what: "unrecognized option '--outp'", usage: USAGE.overlay },
    { line: 'show-overlay -o', what: "option '--output' requires a value", usage: USAGE.overlay },
    { line: 'show-overlay -o link -o link', what: "option '--output' is given more than once", usage: USAGE.overlay },
    { line: 'show-overlay --json=1', what: "option '--json' takes no value", usage: USAGE.overlay },
    { line: 'show-link a b', what: 'unexpected operand: b', usage: USAGE.link },
  ])('$line is left to oclif', async ({ line, what, usage }) => {
    const stderr = `overlayadm: ${what}\n${usage}\n`;
    expect(await paths.run('/nonexistent', words(line), 'oclif')).toEqual({ status: 2, stdout: '', stderr });
  });
});

describe('--json', () => {
  it.each([
    { line: 'show-overlay --json', schema: 'show-overlay', rows: 4 },
    { line: 'show-overlay -f --json', schema: 'show-overlay-f', rows: 4 },
    { line: 'show-overlay -t --json overlay0', schema: 'show-overlay-t', rows: 3 },
    { line: 'show-vnic --json', schema: 'show-vnic', rows: VNICS.length },
    { line: 'show-vnic --json -l overlay7', schema: 'show-vnic', rows: 0 },
    { line: 'show-link --json', schema: 'show-link', rows: LINKS.length },
    { line: 'show-linkprop --json', schema: 'show-linkprop', rows: 8 },
  ])('$line is as the schema $schema', async ({ line, schema, rows }) => {
    const { status, stdout, stderr } = await show(line);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const value: unknown = JSON.parse(stdout);
    expect(violations(value, schemaOf(schema))).toEqual([]);
    expect(value).toHaveLength(rows);
    expect(stdout).toBe(`${JSON.stringify(value, null, 2)}\n`);
  });

  it('show-plugins --json is what overlayd answered, with warnings on standard error', async () => {
    const { stdout, stderr } = await show('show-plugins --json');
    expect(JSON.parse(stdout)).toEqual(PLUGINS);
    expect(violations(PLUGINS, schemaOf('show-plugins'))).toEqual([]);
    expect(stderr).toBe(text(PLUGIN_WARNINGS));
  });

  it('keeps the array whole when something could not be shown', async () => {
    const { status, stdout, stderr } = await show('show-overlay --json x overlay0');
    expect({ status, stderr, rows: JSON.parse(stdout).length }).toEqual({ status: 1, stderr: `${notFound('x')}\n`, rows: 2 });
  });

  it.each([
    { line: 'show-link --json x0', status: 1, code: 'LINK_NOT_FOUND' },
    { line: 'show-overlay --json -tf', status: 2, code: 'USAGE' },
    { line: 'show-overlay --json -o link', status: 2, code: 'USAGE' },
    { line: 'show-plugins --json -p', status: 2, code: 'USAGE' },
    { line: 'show-link --json -s -i 1 -p', status: 2, code: 'USAGE' },
  ])('$line is one object', async ({ line, status: expected, code }) => {
    const { status, stdout, stderr } = await show(line);
    expect({ status, stderr }).toEqual({ status: expected, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ error: { code } });
    expect(violations(JSON.parse(stdout), schemaOf('error'))).toEqual([]);
  });

  it('says nothing of a terminal, nor what one would obey', async () => {
    const { stdout } = await show('show-overlay -f --json overlay1');
    expect(stdout).toContain('no \\u001b[31mroute');
  });
});

describe('when overlayd cannot be asked', () => {
  it.each(['show-overlay a b', 'show-overlay -t', 'show-vnic', 'show-link', 'show-link -s', 'show-linkprop', 'show-plugins'])(
    '%s fails as a whole',
    async (line) => {
      await using closed = await fakeDaemon({ roleOf: () => 'none' });
      const { status, stdout, stderr } = await paths.run(closed.run, words(line), 'thin');
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(/^overlayadm: permission denied\n {2}This needs root.*\n$/);
    },
  );

  it('refuses a relative run directory', async () => {
    const stderr =
      'overlayadm: OVERLAYADM_RUN_DIR: not an absolute path (run)\n  Set OVERLAYADM_RUN_DIR to a path that begins with /, or leave it unset.\n';
    expect(await paths.run('run', ['show-vnic'], 'thin')).toEqual({ status: 1, stdout: '', stderr });
  });

  it('begins no object behind an array that is cut short', async () => {
    await using failing = await fakeDaemon({
      handlers: {
        ...showHandlers(),
        'overlay.targets': async ({ name, after }) => {
          if (after !== null) throw new TypeError('a mistake in overlayd');
          return { rows: [{ overlay: name, target: '2:8:20:0:0:1', destination: 'drop' }], next: 'second' };
        },
      },
    });
    const { status, stdout, stderr } = await paths.run(failing.run, words('show-overlay -t --json'), 'thin');
    expect({ status, begins: stdout.startsWith('['), ends: stdout.endsWith(']\n') }).toEqual({ status: 1, begins: true, ends: false });
    expect(stderr).toMatch(/^overlayadm: overlayd: internal error\n/);
  });
});
