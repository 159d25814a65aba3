// The manual pages against what they describe: what the code has is in them, and what they mark as of the code is there.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type IpAddress, type PropertyTable, parseIp } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import direct from '../../plugins/direct/src/index.ts';
import files from '../../plugins/files/src/index.ts';
import vxlan from '../../plugins/vxlan/src/index.ts';
import { KEYS } from '../../src/core/config/configuration.ts';
import { KERNEL_COUNTERS } from '../../src/core/datapath/kernel-counters.ts';
import { MUX_COUNTERS, PORT_COUNTERS, PUNT_COUNTERS } from '../../src/core/engine/counters.ts';
import { overheadBytes } from '../../src/core/overlay/mtu.ts';
import { propertyRows } from '../../src/core/overlay/vnic-properties.ts';
import { OVERLAY_PROPERTIES, SEARCH_PROPERTY } from '../../src/core/property/generic.ts';
import { DIRECTORY_VARIABLES } from '../../src/core/util/directories.ts';
import * as limits from '../../src/core/util/limits.ts';
import { describePlugin } from '../../src/core/varpd/plugins.ts';
import { compileDecap } from '../../src/core/wire/header-format.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const NAMES = readdirSync(join(root, 'man'));
const PAGES = new Map(NAMES.map((name) => [name, read(`man/${name}`)]));
const page = (name: string): string => PAGES.get(name) ?? '';
const overlay = page('overlay.7');
const overlayd = page('overlayd.8');
const overlayadm = page('overlayadm.8');
const plugin = page('overlay_plugin.7');

/** Of every page: the words behind a macro, on lines of its own and within others. */
function words(pages: Iterable<string>, macro: string): string[] {
  const found: string[] = [];
  for (const text of pages) {
    for (const line of text.split('\n').filter((each) => each.startsWith('.') && !each.startsWith('.\\"'))) {
      const rest = line
        .slice(1)
        .split(new RegExp(`(?:^| )${macro} `))
        .slice(1);
      for (const part of rest) found.push(...(part.split(/ (?=[A-Z][a-z] )/)[0] ?? '').split(/[ ,]+/).filter((word) => word !== ''));
    }
  }
  return [...new Set(found)];
}

const section = (text: string, heading: string): string => {
  const start = text.indexOf(`\n.${heading}\n`);
  expect(start, heading).toBeGreaterThan(0);
  const rest = text.slice(start + 1);
  const next = rest.slice(1).search(heading.startsWith('Ss') ? /^\.S[hs] /m : /^\.Sh /m);
  return next < 0 ? rest : rest.slice(0, next + 1);
};

/** The tags of the lists in a text, `.It Sy a , b` being two. */
const tagsOf = (text: string): string[] => text.match(/^\.It (?:Sy|Er|Ev) .+$/gm)?.flatMap((line) => line.slice('.It Sy '.length).split(' , ')) ?? [];

function sources(...folders: string[]): string[] {
  const all = folders.flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`));
  return all.filter((name) => /\.(ts|js|cjs|sh|cc|h)$/.test(name)).map(read);
}
const CODE = sources('src', 'plugins/direct/src', 'plugins/files/src', 'plugins/vxlan/src', 'plugins/api/src');
const matches = (texts: readonly string[], pattern: RegExp): string[] =>
  texts.flatMap((text) => [...text.matchAll(pattern)].map(([, found]) => found ?? ''));

const namesOf = (prefix: string, table: PropertyTable): string[] => table.map(({ name }) => `${prefix}/${name}`);
const PLUGIN_PROPERTIES = [vxlan, direct, files].flatMap(({ name, properties }) => namesOf(name, properties));
const OVERLAY_PROPERTY_NAMES = [...[...OVERLAY_PROPERTIES, SEARCH_PROPERTY].map(({ name }) => name), ...PLUGIN_PROPERTIES];
const VNIC_PROPERTY_NAMES = propertyRows({
  mtu: 1400,
  state: 'up',
  record: { name: 'vnic0', mac: '02:00:00:00:00:01', mtu: 1400, netns: null, vid: null },
  saved: undefined,
  overlayMtu: 1400,
}).map(({ property }) => property);

describe('every page', () => {
  it('is installed', () => {
    const { man }: { man: string[] } = JSON.parse(read('package.json'));
    expect(man.map((path) => path.replace('./man/', '')).toSorted()).toEqual(NAMES.toSorted());
  });

  const OTHERS = ['ip-address 8', 'ip-link 8', 'ip-neighbour 8', 'ip-netns 8', 'ip-route 8', 'nfs 5', 'sd_listen_fds 3', 'sd_notify 3', 'tcpdump 8'];
  it.each(NAMES)('%s refers to pages and sections that are there', (name) => {
    const known = [...NAMES.map((each) => each.replace(/\.([0-9])$/, ' $1')), ...OTHERS];
    for (const [, to] of page(name).matchAll(/\bXr ([\w.-]+ [0-9])/g)) expect(known).toContain(to);
    const headings = [...page(name).matchAll(/^\.S[hs] (.+)$/gm)].map(([, heading]) => heading);
    for (const [, quoted, word] of page(name).matchAll(/\bSx (?:"([^"]+)"|(\w+))/g)) expect(headings).toContain(quoted ?? word);
  });

  it.skipIf(!existsSync('/usr/bin/mandoc')).each(NAMES)('%s has nothing that mandoc would mend, and fits 80 columns', (name) => {
    expect(execFileSync('mandoc', ['-T', 'lint', '-W', 'warning', join(root, 'man', name)], { encoding: 'utf8' })).toBe('');
    const text = execFileSync('mandoc', ['-T', 'utf8', '-O', 'width=78', join(root, 'man', name)], { encoding: 'utf8' });
    const lines = text.replaceAll(/.[\b]/g, '').split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });
});

describe('error codes', () => {
  /** Upper case words in quotes that are no codes: of Node.js, of a guard of ours that never leaves it, and variables. */
  const NOT_CODES = ['MODULE_NOT_FOUND', 'OUTSIDE_CODE', 'CLI_FLAGS_DEBUG'];
  const quoted = matches(CODE, /'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)'/g).filter((word) => !word.startsWith('OVERLAYADM_') && !NOT_CODES.includes(word));
  const named = matches(CODE, /(?:OverlayError\(\s*|const USAGE = )'([A-Z_]+)'/g);
  const codes = [...new Set([...quoted, ...named])].toSorted();
  const explained = tagsOf(section(overlayadm, 'Sh DIAGNOSTICS')).filter((tag) => /^[A-Z_]+$/.test(tag));

  it('are there', () => expect(codes.length).toBeGreaterThan(80));
  it.each(codes)('%s is explained once in overlayadm(8)', (code) => expect(explained.filter((each) => each === code)).toEqual([code]));
  it('no other is in any page', () => {
    expect(words(PAGES.values(), 'Er').filter((word) => /^[A-Z_]+$/.test(word) && !codes.includes(word))).toEqual([]);
  });
});

describe('environment', () => {
  const texts = sources('src', 'bin', 'native/src');
  const launcher = read('bin/launch.sh');
  const variables = [
    ...new Set([
      ...Object.values(DIRECTORY_VARIABLES).map(({ variable }) => variable),
      // What is only set is not looked for.
      ...matches(texts, /\b(?:process\.env|environment|env)\.([A-Za-z_]+)(?! = )\b/g).filter((name) => /^([A-Z_]+|npm_\w+)$/.test(name)),
      ...matches(texts, /\{([^{}]+)\} = (?:process\.env|environment);/g).flatMap((list) =>
        list.split(',').map((each) => each.split(':')[0]?.trim() ?? ''),
      ),
      ...matches(texts, /FOR_OCLIF = \[([^\]]+)\]/g).flatMap((list) => matches([list], /'(\w+)'/g)),
      ...matches(texts, /const kept = \[(.+)\];/g).flatMap((list) => matches([list], /'([A-Z_]+)'/g)),
      ...matches(texts, /getenv\("(\w+)"\)/g),
      ...matches([launcher], /\$\{?([A-Z][A-Z_]+)/g),
    ]),
  ].filter((name) => !['OCLIF_DISABLE_ENGINE_WARNING', 'npm_config_ignore_scripts', 'npm_config_bin_links'].includes(name));
  const explained = [overlayadm, overlayd].flatMap((text) => tagsOf(section(text, 'Sh ENVIRONMENT')));

  it.each(variables)('%s is explained', (name) => expect(`${explained.join(' ')} ${words([overlayd], 'Ev').join(' ')}`.split(' ')).toContain(name));
  it('no other is in any page', () => expect(words(PAGES.values(), 'Ev').filter((word) => !variables.includes(word))).toEqual([]));
  it.each(Object.values(DIRECTORY_VARIABLES))('$variable has its default in both pages', ({ variable, fallback }) => {
    const after = (text: string): string => text.slice(text.indexOf(`.It Ev ${variable}\n`)).split(/\n\.(?:It|El)/)[0] ?? '';
    const of = overlayd.slice(overlayd.indexOf(`.It Ev ${variable}\n`));
    expect(of.slice(0, of.indexOf('\n.It', 1))).toContain(`.Pa ${fallback}\nwithout it`);
    expect(after(overlayadm)).toContain(`.Pa ${fallback} .`);
  });
});

describe('properties', () => {
  it('overlayadm(8) has those of overlays and VNICs, and no other', () => {
    expect(tagsOf(section(overlayadm, 'Ss Properties of overlays')).toSorted()).toEqual(OVERLAY_PROPERTY_NAMES.toSorted());
    expect(tagsOf(section(overlayadm, 'Ss Properties of VNICs')).toSorted()).toEqual(VNIC_PROPERTY_NAMES.toSorted());
  });

  it('overlay(7) says which can change', () => {
    const live = new Map<string, boolean>([['netns', true], ['state', false], ...[...OVERLAY_PROPERTIES, SEARCH_PROPERTY].map(liveOf(''))]);
    for (const { name, properties } of [vxlan, direct, files]) for (const [key, value] of properties.map(liveOf(`${name}/`))) live.set(key, value);
    const rows = [...section(overlay, 'Ss Link properties').matchAll(/^\.It (\S+) Ta (yes|no)/gm)].map(
      ([, name, word]) => [name ?? '', word === 'yes'] as const,
    );
    expect(new Map(rows)).toEqual(live);
  });

  it('no property with a prefix is in any page that no plugin has', () => {
    const bundled = /^(?:vxlan|direct|files|varpd)\/\w+$/;
    const known = [...OVERLAY_PROPERTY_NAMES];
    expect(words(PAGES.values(), 'Sy').filter((word) => bundled.test(word) && !known.includes(word))).toEqual([]);
  });

  it.each(Object.keys(KEYS))('overlayadm.conf(5) has the key %s, and no other', () => {
    const described = section(page('overlayadm.conf.5'), 'Sh DESCRIPTION').split('.Ss ')[0] ?? '';
    expect(tagsOf(described)).toEqual(Object.keys(KEYS));
  });

  it('overlayadm(8) gives limits as they are', () => {
    expect(
      missing(
        overlayadm,
        `${limits.MTU.min} to ${limits.MTU.max} bytes; ${limits.MTU.default} by default`,
        `at most ${limits.MAX_PROPERTY_BYTES} bytes, a path ${limits.MAX_PATH_BYTES}.`,
        `at most ${limits.MAX_PROPERTY_ARGUMENTS} of them`,
        `at most ${limits.MAX_LINK_NAME_BYTES} characters`,
        `VLAN on the overlay, ${limits.VLAN_ID.min} to ${limits.VLAN_ID.max}.`,
        `seconds, 1 to ${limits.MAX_SHOW_INTERVAL_SECONDS}, until`,
        `UDP port; ${vxlan.usualPort} by default`,
      ),
    ).toEqual([]);
  });
});

/** Which of these texts a page does not have, wherever its lines break. */
const missing = (text: string, ...quoted: readonly string[]): string[] => quoted.filter((each) => !text.replaceAll('\n', ' ').includes(each));

const liveOf =
  (prefix: string) =>
  ({ name, live }: { readonly name: string; readonly live: boolean }): [string, boolean] => [`${prefix}${name}`, live];

describe('overlay(7)', () => {
  const formatCounters = compileDecap(vxlan.format, vxlan.name).dropReasons;
  // Counted by the overlay itself, outside the engine.
  const counters = [...PORT_COUNTERS, ...MUX_COUNTERS, ...PUNT_COUNTERS, ...KERNEL_COUNTERS, ...formatCounters, 'lookup.wrong-destination'];
  const tags = tagsOf(section(overlay, 'Sh COUNTERS'));

  it.each(counters)('explains the counter %s once', (counter) => {
    expect(tags.filter((tag) => tag === counter)).toHaveLength(1);
  });

  it('explains no counter that is not there', () => {
    expect(tags.filter((tag) => tag.includes('.') && !counters.includes(tag))).toEqual([]);
  });

  it('explains every cause of trouble, and no other', () => {
    const advice = /const ADVICE = \{([^}]+)\}/.exec(read('src/core/overlay/health.ts'))?.[1] ?? '';
    expect(tagsOf(section(overlay, 'Ss Degraded'))).toEqual(matches([advice], /^ {2}'?([\w-]+)'?: /gm));
  });

  it.each([
    ['Waiting frames of one target', `${limits.MAX_QUEUED_BYTES_PER_TARGET / 1024} KiB`],
    ['Waiting frames of one overlay', `${limits.MAX_QUEUED_BYTES_PER_OVERLAY / 2 ** 20} MiB`],
    ['Waiting frames of all overlays', `${limits.MISS_POOL_BYTES / 2 ** 20} MiB`],
    ['Targets in the cache of one overlay', `${limits.MAX_TARGETS_PER_OVERLAY}`],
    ['Lookups that are out, one overlay', `${limits.MAX_LOOKUPS_PER_OVERLAY}`],
    ['Lookup without an answer', `${limits.LOOKUP_TIMEOUT_MS / 1000} s`],
    ['Refused target is not asked for again', `${limits.NEGATIVE_TTL_MS / 1000} s`],
    ['Questions that are out, one overlay', `${limits.MAX_QUESTIONS_PER_OVERLAY}`],
    ['Questions that are out, one MAC address', `${limits.MAX_QUESTIONS_PER_SOURCE}`],
    ['Guests that wait for one answer', `${limits.MAX_ASKERS_PER_QUESTION}`],
    ['Frame without encapsulation', `${limits.MAX_FRAME_BYTES} bytes`],
    ['mtu', `${limits.MTU.min}-${limits.MTU.max}, ${limits.MTU.default} by default`],
    ['Source ports of one listening address', `${limits.SEND_SOCKETS} of ${limits.SOURCE_PORTS.min}-${limits.SOURCE_PORTS.max}`],
    ['File that a plugin reads', `${limits.MAX_PLUGIN_FILE_BYTES / 2 ** 20} MiB`],
    ['Frames that wait in a TAP', `${limits.TAP_QUEUE_FRAMES}`],
    ['Rows put in after one look at the socket', `${limits.ROWS_PER_LOOK}`],
    ['Row put in though frames keep coming', `${limits.ROW_FORCED_MS} ms, ${limits.ROW_FORCED_EARLY_MS} ms where few wait`],
    ['Bytes that wait in the loopback socket', `${limits.PUNT_BUFFER_BYTES / 2 ** 20} MiB`],
    ['Rows of others that are shown', `${limits.MAX_FOREIGN_ROWS}`],
    ['Bytes that wait in the socket', `${limits.SOCKET_BUFFER_BYTES / 2 ** 20} MiB`],
    ['Targets written down after', `${limits.SNAPSHOT_MS / 1000} s`],
    ['Targets verified after a restart', `${(limits.VERIFY_BATCH * 1000) / limits.VERIFY_MS} in a second`],
    ['Name of an overlay or VNIC', `${limits.MAX_LINK_NAME_BYTES} bytes`],
    ['Property value', `${limits.MAX_PROPERTY_BYTES} bytes, a path ${limits.MAX_PATH_BYTES}`],
    ['Degraded reason', `${limits.MAX_REASON_BYTES} bytes`],
  ])('gives the limit of "%s" as it is', (what, value) => {
    expect(overlay).toContain(`\n.It ${what} Ta ${value}\n`);
  });

  it.each([1500, 1454, 1474, 9000])('says which mtu an underlay of %i bytes carries', (underlay) => {
    const encap = describePlugin(vxlan);
    if (encap.kind !== 'encap') throw new TypeError('vxlan is no encapsulation');
    const fits = ['192.0.2.1', '2001:db8::1'].map((text) =>
      Math.min(limits.MTU.max, underlay - overheadBytes({ encap, listenIp: parseIp(text) as IpAddress, mtu: 1400 })),
    );
    expect(overlay.replaceAll(' Pq the limit', '')).toContain(`\n.It ${underlay} Ta ${fits.join(' Ta ')}\n`);
  });
});

describe('overlayd(8)', () => {
  const main = read('src/core/daemon/main.ts');
  const options: string[] = main.match(/(?<=^ {2})--[a-z-]+/gm) ?? [];

  it('has the options of the usage text, and no other', () => {
    expect(options).toContain('--no-keeper');
    const described: string[] = section(overlayd, 'Sh DESCRIPTION').match(/(?<=^\.It Fl -)[a-z-]+$/gm) ?? [];
    expect(described.map((name) => `--${name}`).toSorted()).toEqual(options.toSorted());
    for (const option of options) expect(section(overlayd, 'Sh SYNOPSIS')).toContain(`Fl -${option.slice(2)}`);
    expect(words([overlayd], 'Fl').filter((word) => /\w/.test(word) && !options.includes(`-${word}`))).toEqual([]);
  });

  it('has the exit statuses', () => {
    const statuses = matches([/const EXIT = \{([^}]+)\}/.exec(main)?.[1] ?? ''], /: ([0-9]+)/g);
    expect(section(overlayd, 'Sh EXIT STATUS').match(/(?<=^\.It )[0-9]+$/gm)).toEqual(statuses);
  });

  it('has the signals', () => {
    const signals = [...new Set(matches([main], /'(SIG[A-Z]+)'/g))];
    const described = section(overlayd, 'Sh SIGNALS').match(/^\.It Dv .+$/gm) ?? [];
    expect(described.flatMap((line) => matches([line], /(SIG[A-Z]+)/g)).toSorted()).toEqual(signals.toSorted());
  });

  it('has the files of the directories', () => {
    const all = [read('src/core/util/directories.ts'), main, read('src/core/daemon/snapshot-files.ts'), read('src/core/overlay/state-files.ts')];
    const named = matches(all, /join\((?:directories\.)?(?:run|state), '([\w.]+)'\)/g);
    expect(named.length).toBeGreaterThan(6);
    for (const name of named) expect(section(overlayd, 'Sh FILES')).toMatch(new RegExp(`Pa \\S+/${name.replace('.', '\\.')}/?(?: |$)`, 'm'));
  });

  it('has the fields of the log, and no other', () => {
    const table = /## Field names in the log\n([\s\S]+?)\n## /.exec(read('CONTRIBUTING.md'))?.[1] ?? '';
    const names = matches([table], /^\| `(\w+)`/gm);
    expect(names).toContain('causes');
    expect(tagsOf(section(overlayd, 'Sh DIAGNOSTICS')).toSorted()).toEqual(names.toSorted());
  });

  it('gives limits as they are', () => {
    const seconds = (limits.HOST_PING_INTERVAL_MS * limits.HOST_MISSED_PINGS) / 1000;
    const policy = read('native/src/keeper-policy.h').replaceAll("'", '');
    const wait = (name: string): number => Number(new RegExp(`${name} = ([0-9]+)`).exec(policy)?.[1]);
    expect(
      missing(
        overlayd,
        `says nothing for ${seconds} seconds`,
        `${limits.HOST_HEAP_MIB} MiB of heap and ${limits.HOST_DATA_MIB} MiB of memory`,
        `larger than ${limits.MAX_LOG_BYTES / 2 ** 20} MiB`,
        `after ${limits.STOP_TIMEOUT_MS / 1000} seconds exit without`,
        `${limits.TAP_QUEUE_FRAMES} from the VNICs`,
        `${limits.SOCKET_BUFFER_BYTES / 2 ** 20} MiB from the underlay`,
        `${(limits.VERIFY_BATCH * 1000) / limits.VERIFY_MS} in a second`,
        `every ${limits.RESTORE_RETRY_MS / 1000} seconds`,
        `after ${wait('kFirstWaitMs')} ms, doubled from one failure to the next up to ${wait('kLongestWaitMs') / 1000} seconds`,
      ),
    ).toEqual([]);
    expect(limits.SNAPSHOT_MS).toBe(1000);
  });
});

describe('overlay_plugin(7)', () => {
  /** Members of what a plugin has, and is given. */
  function members(file: string, ...names: string[]): string[] {
    const text = read(`plugins/api/src/${file}`).replaceAll(/\/\*\*[\s\S]*?\*\//g, '');
    return names.flatMap((name) => {
      const body = new RegExp(`interface ${name}\\b[^{]*\\{\\n([\\s\\S]+?)\\n\\}`).exec(text)?.[1];
      expect(body, name).toBeDefined();
      return matches([body ?? ''], /^ {2}(?:readonly )?(\w+)\??[:(]/gm);
    });
  }
  const contract = [
    ...members('lookup.ts', 'InstanceBase', 'PointInstance', 'DynamicInstance', 'LookupHost', 'LookupPlugin', 'LookupRequest'),
    ...members('encap.ts', 'EncapPlugin', 'HeaderFormat', 'Match', 'UnderlaySocket'),
    ...members('property.ts', 'PropertyDefinition', 'PropertyTypes'),
    ...members('destination.ts', 'Destination'),
    'OverlayError',
    'defineProperties',
  ];

  it.each([...new Set(contract)])('has %s', (name) => {
    expect(plugin).toMatch(new RegExp(`^\\..*\\b(?:Sy|Fn|Ql|,) ?"?${name}\\b`, 'm'));
  });

  it('gives limits as they are', () => {
    expect(
      missing(
        plugin,
        `list of objects, at most ${limits.MAX_PROPERTIES}`,
        `at most ${limits.MAX_NAME_CHARS} characters`,
        `a list of at most ${limits.MAX_POSSIBLE_VALUES}`,
        `at most ${limits.MAX_SUMMARY_CHARS} characters`,
        `4 to ${limits.HEADROOM_BYTES}, a multiple of 4`,
        `at most ${limits.MAX_FORMAT_MATCHES} objects`,
        `It has ${limits.HOST_CALL_TIMEOUT_MS / 1000} seconds`,
        `after ${limits.HOST_STOP_MS / 1000} second at most`,
        `within ${limits.LOOKUP_TIMEOUT_MS / 1000} seconds`,
        `at most ${limits.MAX_PLUGIN_FILE_BYTES / 2 ** 20} MiB`,
        `At most ${limits.MAX_OPEN_FILES} are open`,
        `${limits.MAX_LOG_LINES} lines in ${limits.LOG_PERIOD_MS / 1000} seconds are taken, each of at most ${limits.MAX_LOG_TEXT_BYTES} bytes`,
        `says nothing for ${(limits.HOST_PING_INTERVAL_MS * limits.HOST_MISSED_PINGS) / 1000} seconds`,
        `has ${limits.HOST_REPLACE_MS / 1000} seconds to start`,
        `${(limits.VERIFY_BATCH * 1000) / limits.VERIFY_MS} targets in a second`,
        `${limits.HOST_HEAP_MIB} MiB of heap, and ${limits.HOST_DATA_MIB} MiB`,
      ),
    ).toEqual([]);
    expect([limits.MAX_ASKS, limits.FILE_POLL_MS]).toEqual([2, 1000]);
  });
});
