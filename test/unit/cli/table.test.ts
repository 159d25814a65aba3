// The tables of the show commands against text that was written by hand from the rules of illumos ofmt.c.
import { describe, expect, it } from 'vitest';
import { HEALTH_FIELDS, PROPERTY_FIELDS, TARGET_FIELDS, VNIC_FIELDS } from '../../../src/core/cli/fields.ts';
import { type Field, formatTable } from '../../../src/core/cli/table.ts';
import type { PropertyRow } from '../../../src/core/rpc/protocol.ts';

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

describe('show-vnic', () => {
  it('prints a VNIC in a namespace and one in none', () => {
    const rows = [
      { vnic: 'vnic0', overlay: 'overlay0', mac: '02:08:20:00:00:01', mtu: 1400, netns: null },
      { vnic: 'vnic1', overlay: 'overlay0', mac: '02:08:20:00:00:02', mtu: 1400, netns: 'blue' },
    ];
    expect(formatTable(VNIC_FIELDS, rows, human())).toEqual([
      'LINK        OVER        MACADDRESS        MTU    NETNS',
      'vnic0       overlay0    02:08:20:00:00:01 1400   --',
      'vnic1       overlay0    02:08:20:00:00:02 1400   blue',
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
