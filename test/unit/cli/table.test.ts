// The tables of the show commands against text that was written by hand from the rules of illumos ofmt.c.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  HEALTH_FIELDS,
  LINK_FIELDS,
  linkPropertyFields,
  PLUGIN_FIELDS,
  PROPERTY_FIELDS,
  STATISTICS_FIELDS,
  TARGET_FIELDS,
  VNIC_FIELDS,
} from '../../../src/core/cli/fields.ts';
import { selectFields } from '../../../src/core/cli/select-fields.ts';
import { type Field, formatTable, type Tone } from '../../../src/core/cli/table.ts';
import type { LinkPropertyRow, LinkRow, LinkStatistics, PluginRow, PropertyRow, VnicRow } from '../../../src/core/rpc/protocol.ts';

const human = (heightRows = 24) => ({ kind: 'human', heightRows }) as const;

function property(name: string, access: 'r-' | 'rw', required: boolean, ...rest: [string | null, string | null, string | null]): PropertyRow {
  const [value, fallback, possible] = rest;
  return { overlay: 'overlay0', property: name, access, required, value, default: fallback, possible };
}

describe('show-overlay', () => {
  it('prints properties as the sample of illumos', () => {
    const rows = [
      property('mtu', 'rw', false, '1400', '1400', '576-8900'),
      property('vnetid', 'rw', false, '23', null, null),
      property('encap', 'r-', false, 'vxlan', null, 'vxlan'),
      property('varpd/id', 'r-', false, '1', null, null),
      property('vxlan/listen_ip', 'rw', true, '192.168.1.1', null, null),
      property('vxlan/listen_port', 'rw', true, '4789', '4789', '1-65535'),
      property('search', 'r-', false, 'files', null, 'direct,files,svp'),
      property('files/config', 'rw', true, '/var/tmp/overlay.json', null, null),
    ];
    expect(formatTable(PROPERTY_FIELDS, rows, human())).toEqual([
      'LINK               PROPERTY           PERM REQ VALUE      DEFAULT   POSSIBLE',
      'overlay0           mtu                rw   -   1400       1400      576-8900',
      'overlay0           vnetid             rw   -   23         --        --',
      'overlay0           encap              r-   -   vxlan      --        vxlan',
      'overlay0           varpd/id           r-   -   1          --        --',
      'overlay0           vxlan/listen_ip    rw   y   192.168.1.1 --       --',
      'overlay0           vxlan/listen_port  rw   y   4789       4789      1-65535',
      'overlay0           search             r-   -   files      --        direct,',
      '                                                                    files,svp',
      'overlay0           files/config       rw   y   /var/tmp/overlay.json -- --',
    ]);
  });

  it('prints health as the sample of illumos, with since when and what to do behind', () => {
    const rows = [
      { overlay: 'overlay0', status: 'ONLINE', details: null, since: null, advice: null },
      {
        overlay: 'overlay1',
        status: 'DEGRADED',
        details: 'cannot reach any remote peers',
        since: '2026-11-20T15:20:11.123Z',
        advice: 'mend it',
      },
    ] as const;
    expect(formatTable(HEALTH_FIELDS, rows, human())).toEqual([
      'LINK                STATUS  DETAILS',
      'overlay0            ONLINE  -',
      'overlay1            DEGRADED cannot reach any remote peers (since 2026-11-20T15:20:11Z; mend it)',
    ]);
  });

  it('prints targets as the sample of illumos', () => {
    const rows = [{ overlay: 'overlay0', target: 'de:ad:be:ef:0:0', destination: '10.88.88.69:4789' }];
    expect(formatTable(TARGET_FIELDS, rows, human())).toEqual([
      'LINK                TARGET            DESTINATION',
      'overlay0            de:ad:be:ef:0:0   10.88.88.69:4789',
    ]);
  });
});

interface Pair {
  readonly left: string | null;
  readonly right: string | null;
}
const PAIR: readonly Field<Pair>[] = [
  { name: 'LEFT', width: 8, value: (row) => row.left },
  { name: 'RIGHT', width: 8, value: (row) => row.right },
];

const VNICS: readonly VnicRow[] = [
  { vnic: 'vnic0', overlay: 'overlay0', mac: '02:08:20:00:00:01', mtu: 1400, vid: null, netns: null, state: 'up', persistent: true },
  {
    vnic: 'vnic1',
    overlay: 'overlay0',
    mac: '02:08:20:00:00:02',
    mtu: 1400,
    vid: 7,
    netns: 'blue',
    state: 'waiting for namespace blue',
    persistent: false,
  },
];

const LINKS: readonly LinkRow[] = [
  { link: 'overlay0', class: 'overlay', mtu: 1400, state: 'up', over: null, netns: null },
  { link: 'vnic0', class: 'vnic', mtu: 1400, state: 'waiting for namespace blue', over: 'overlay0', netns: 'blue' },
];

const STATISTICS: readonly LinkStatistics[] = [
  {
    link: 'overlay0',
    receivedFrames: '18446744073709551615',
    receivedBytes: '1500',
    sentFrames: '2',
    sentBytes: '3000',
    misses: '4',
    queued: '5',
    drops: { 'target.refused': '12', 'target.queue-full': '3', 'vxlan.i-flag-clear': '1' },
  },
  {
    link: 'vnic0',
    receivedFrames: '1',
    receivedBytes: '60',
    sentFrames: '2',
    sentBytes: '120',
    misses: null,
    queued: null,
    drops: {},
  },
];

const LINK_PROPERTIES: readonly LinkPropertyRow[] = [
  { link: 'overlay0', property: 'mtu', access: 'rw', value: '1400', persistent: '1450', default: '1400', possible: '576-8900' },
  { link: 'overlay0', property: 'files/config', access: 'rw', value: '/etc/overlayadm/map.json', persistent: null, default: null, possible: null },
  { link: 'vnic0', property: 'netns', access: 'rw', value: null, persistent: 'blue', default: null, possible: null },
];

const PLUGINS: readonly PluginRow[] = [
  {
    kind: 'encap',
    name: 'vxlan',
    package: '@overlayadm/plugin-vxlan',
    version: '0.1.0',
    api: 1,
    properties: ['vxlan/listen_ip', 'vxlan/listen_port'],
    uid: 65534,
    pid: null,
    problem: null,
  },
  {
    kind: 'lookup',
    name: 'geneva',
    package: 'geneva',
    version: '2.0.0',
    api: 7,
    properties: null,
    uid: 998,
    pid: 4711,
    problem: 'api 7, 1 is known',
  },
  {
    kind: 'lookup',
    name: 'direct',
    package: '@overlayadm/plugin-direct',
    version: '0.1.0',
    api: 1,
    properties: [],
    uid: 998,
    pid: null,
    problem: null,
  },
];

/** As without -o. */
const table = <R>(fields: readonly Field<R>[], rows: readonly R[], output?: string): string[] =>
  formatTable(selectFields(fields, { output, parsable: false, warn: () => {} }), rows, human());

describe('tables of links', () => {
  it('prints a VNIC in a namespace that is missing and one in none', () => {
    expect(table(VNIC_FIELDS, VNICS)).toEqual([
      'LINK        OVER        MACADDRESS        MTU    VID  NETNS          STATE',
      'vnic0       overlay0    02:08:20:00:00:01 1400   0    --             up',
      'vnic1       overlay0    02:08:20:00:00:02 1400   7    blue           waiting for namespace blue',
    ]);
    expect(table(VNIC_FIELDS, VNICS, 'link,persistent')).toEqual(['LINK        PERSISTENT', 'vnic0       y', 'vnic1       -']);
  });

  it('prints overlays and VNICs', () => {
    expect(table(LINK_FIELDS, LINKS)).toEqual([
      'LINK        CLASS     MTU    STATE    OVER',
      'overlay0    overlay   1400   up       --',
      'vnic0       vnic      1400   waiting for namespace blue overlay0',
    ]);
    expect(table(LINK_FIELDS, LINKS, 'netns,link')).toEqual(['NETNS          LINK', '--             overlay0', 'blue           vnic0']);
  });

  it('prints counters, drops by reason wrapped at commas', () => {
    expect(table(STATISTICS_FIELDS, STATISTICS)).toEqual([
      'LINK        IPACKETS   RBYTES       OPACKETS   OBYTES       MISSES   QUEUED   DROPS',
      'overlay0    18446744073709551615 1500 2        3000         4        5        target.refused=12,',
      '                                                                              target.queue-full=3,',
      '                                                                              vxlan.i-flag-clear=1',
      'vnic0       1          60           2          120          --       --       --',
    ]);
  });

  it('prints link properties, of now and of after a reboot', () => {
    expect(table(linkPropertyFields(false), LINK_PROPERTIES)).toEqual([
      'LINK         PROPERTY        PERM VALUE          DEFAULT        POSSIBLE',
      'overlay0     mtu             rw   1400           1400           576-8900',
      'overlay0     files/config    rw   /etc/overlayadm/map.json --   --',
      'vnic0        netns           rw   --             --             --',
    ]);
    expect(table(linkPropertyFields(true), LINK_PROPERTIES, 'property,value')).toEqual([
      'PROPERTY        VALUE',
      'mtu             1450',
      'files/config    --',
      'netns           blue',
    ]);
  });
});

describe('show-plugins', () => {
  it('prints a plugin that cannot be loaded with a question mark, and one without properties', () => {
    expect(table(PLUGIN_FIELDS, PLUGINS)).toEqual([
      'KIND   NAME        PACKAGE                     VERSION  API UID   PROPERTIES',
      'encap  vxlan       @overlayadm/plugin-vxlan    0.1.0    1   65534 vxlan/listen_ip,',
      '                                                                  vxlan/listen_port',
      'lookup geneva      geneva                      2.0.0    7   998   ?',
      'lookup direct      @overlayadm/plugin-direct   0.1.0    1   998   --',
    ]);
    expect(table(PLUGIN_FIELDS, PLUGINS, 'name,pid,problem')).toEqual([
      'NAME        PID     PROBLEM',
      'vxlan       --      --',
      'geneva      4711    api 7, 1 is known',
      'direct      --      --',
    ]);
  });
});

describe('parsable', () => {
  const parsable = <R>(fields: readonly Field<R>[], rows: readonly R[], output: string): string[] =>
    formatTable(selectFields(fields, { output, parsable: true, warn: () => {} }), rows, { kind: 'parsable' });

  it('is the sample of illumos', () => {
    const rows = [{ overlay: 'overlay0', target: 'de:ad:be:ef:0:0', destination: '10.88.88.69:4789' }];
    expect(parsable(TARGET_FIELDS, rows, 'link,target,destination')).toEqual(['overlay0:de\\:ad\\:be\\:ef\\:0\\:0:10.88.88.69\\:4789']);
    expect(parsable(TARGET_FIELDS, rows, 'target')).toEqual(['de:ad:be:ef:0:0']);
  });

  it('has the dashes of an overlay, for dladm makes them itself', () => {
    const rows = [property('varpd/id', 'r-', false, null, '', null)];
    expect(parsable(PROPERTY_FIELDS, rows, 'link,property,perm,req,value,default,possible')).toEqual(['overlay0:varpd/id:r-:-:--:--:--']);
    const healthy = { overlay: 'overlay0', status: 'ONLINE', details: null, since: null, advice: null } as const;
    expect(parsable(HEALTH_FIELDS, [healthy], 'link,status,details')).toEqual(['overlay0:ONLINE:-']);
  });

  it('leaves empty what is empty elsewhere, and wraps nothing', () => {
    expect(parsable(VNIC_FIELDS, VNICS, 'link,vid,netns,state,persistent')).toEqual(['vnic0:0::up:y', 'vnic1:7:blue:waiting for namespace blue:-']);
    expect(parsable(LINK_FIELDS, LINKS, 'over')).toEqual(['', 'overlay0']);
    expect(parsable(STATISTICS_FIELDS, STATISTICS, 'link,misses,drops')).toEqual([
      'overlay0:4:target.refused=12,target.queue-full=3,vxlan.i-flag-clear=1',
      'vnic0::',
    ]);
    expect(parsable(linkPropertyFields(false), LINK_PROPERTIES, 'property,value,possible')).toEqual([
      'mtu:1400:576-8900',
      'files/config:/etc/overlayadm/map.json:',
      'netns::',
    ]);
    expect(parsable(PLUGIN_FIELDS, PLUGINS, 'name,properties,problem')).toEqual([
      'vxlan:vxlan/listen_ip,vxlan/listen_port:',
      'geneva:?:api 7, 1 is known',
      'direct::',
    ]);
  });

  it('escapes what separates only where there is something to separate', () => {
    const rows = [{ left: 'a:\\b', right: '\\:' }];
    expect(parsable(PAIR, rows, 'left,right')).toEqual(['a\\:\\\\b:\\\\\\:']);
    expect(parsable(PAIR, rows, 'right')).toEqual(['\\:']);
  });

  it('can be taken apart again, whatever the values are', () => {
    const value = fc.string({ unit: fc.constantFrom(':', '\\', 'a', ',', ' ') });
    fc.assert(
      fc.property(fc.array(value, { minLength: 2, maxLength: 5 }), (values) => {
        const fields = values.map((text, index) => ({ name: `F${index}`, width: 3, value: () => text }));
        const [line = ''] = formatTable(fields, [null], { kind: 'parsable' });
        const read = Array.from(`${line}:`.matchAll(/((?:[^:\\]|\\.)*):/g), ([, text = '']) => text.replace(/\\(.)/g, '$1'));
        expect(read).toEqual(values);
      }),
    );
  });

  it('lets no control character through', () => {
    expect(parsable(PAIR, [{ left: '\u001b[31m', right: 'a\nb' }], 'left,right')).toEqual(['?[31m:a?b']);
  });
});

describe('colours', () => {
  const paint = (tone: Tone, text: string): string => `<${tone}>${text}</>`;
  const painted = <R>(fields: readonly Field<R>[], rows: readonly R[]): string[] => formatTable(fields, rows, { ...human(), paint });

  it('are not counted as width', () => {
    const rows = [
      { overlay: 'overlay0', status: 'ONLINE', details: null, since: null, advice: null },
      { overlay: 'overlay1', status: 'DEGRADED', details: 'no route', since: '2026-11-20T15:20:11Z', advice: 'mend it' },
      { overlay: 'overlay2', status: 'DOWN', details: 'saved, not up', since: null, advice: 'overlayadm up-overlay overlay2' },
    ] as const;
    expect(painted(HEALTH_FIELDS, rows)).toEqual([
      'LINK                STATUS  DETAILS',
      'overlay0            <good>ONLINE</>  -',
      'overlay1            <bad>DEGRADED</> no route (since 2026-11-20T15:20:11Z; mend it)',
      'overlay2            <attention>DOWN</>    saved, not up (overlayadm up-overlay overlay2)',
    ]);
  });

  it('mark entries that drop', () => {
    const rows = ['drop', '192.0.2.1:4789'].map((destination) => ({ overlay: 'o0', target: '2:8:20:0:0:1', destination }));
    expect(painted(TARGET_FIELDS, rows).slice(1)).toEqual([
      'o0                  2:8:20:0:0:1      <attention>drop</>',
      'o0                  2:8:20:0:0:1      192.0.2.1:4789',
    ]);
  });
});

describe('formatTable', () => {
  it('prints nothing without rows', () => {
    expect(formatTable(PAIR, [], human())).toEqual([]);
  });

  it('shows null and the empty text as --', () => {
    expect(formatTable(PAIR, [{ left: '', right: null }], human())).toEqual(['LEFT    RIGHT', '--      --']);
  });

  it.each([
    { left: '1234567', line: '1234567 x' },
    { left: '12345678', line: '12345678 x' },
    { left: '123456789', line: '123456789 x' },
  ])('leaves one blank after $left in a column of 8', ({ left, line }) => {
    expect(formatTable(PAIR, [{ left, right: 'x' }], human())[1]).toBe(line);
  });

  it('hands the excess of a value on until columns have taken it back', () => {
    const fields: readonly Field<readonly string[]>[] = ['A', 'B', 'C', 'D'].map((name, index) => ({
      name,
      width: 5,
      value: (row) => row[index] ?? null,
    }));
    expect(formatTable(fields, [['1234567', 'x', 'y', 'z']], human())).toEqual(['A    B    C    D', '1234567 x y    z']);
  });

  it('wraps a list in a column that is not the last, and leaves the others blank', () => {
    expect(formatTable(PAIR, [{ left: 'aaa,bbb,cc,dddddddddd,e', right: 'x' }], human())).toEqual([
      'LEFT    RIGHT',
      'aaa,bbb, x',
      'cc,',
      'dddddddddd,',
      'e',
    ]);
  });

  it('repeats the header when headers and rows fill the terminal, continuation lines not counted', () => {
    const rows = ['a', 'b,cccccccc', 'd', 'e', 'f'].map((right) => ({ left: 'l', right }));
    expect(formatTable(PAIR, rows, human(3))).toEqual([
      'LEFT    RIGHT',
      'l       a',
      'l       b,',
      '        cccccccc',
      'LEFT    RIGHT',
      'l       d',
      'l       e',
      'LEFT    RIGHT',
      'l       f',
    ]);
  });

  it('prints a header and a row in turn on a terminal without height', () => {
    const rows = [
      { left: 'a', right: 'b' },
      { left: 'c', right: 'd' },
    ];
    expect(formatTable(PAIR, rows, human(0))).toEqual(['LEFT    RIGHT', 'a       b', 'LEFT    RIGHT', 'c       d']);
  });

  it('counts characters as they stand on the terminal', () => {
    const rows = [{ left: 'e\u0301\u{1f600}', right: 'x' }];
    expect(formatTable(PAIR, rows, human())[1]).toBe('e\u0301\u{1f600}      x');
  });

  it('lets no control character through', () => {
    expect(formatTable(PAIR, [{ left: '\u001b[31m', right: 'a\nb\u009b' }], human())[1]).toBe('?[31m   a?b?');
  });
});

it('does not take a sentence with commas for a list', () => {
  const fields = [
    { name: 'LINK', width: 10, value: (row: string) => row },
    { name: 'DETAILS', width: 12, value: () => 'line 1, 02:08, wrong', wraps: false },
  ];
  expect(formatTable(fields, ['overlay0'], { kind: 'human', heightRows: 24 }).at(-1)).toBe('overlay0  line 1, 02:08, wrong');
});
