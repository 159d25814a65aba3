// The frozen command line: what is built is what was frozen, and overlayadm(8) has every command, option, operand and field of it, and no other.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
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
} from '../../src/core/cli/fields.ts';
import { COMMON_FLAGS } from '../../src/core/cli/show/specification.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(`${root}/man/overlayadm.8`, 'utf8');
const others = readdirSync(`${root}/man`).filter((name) => name !== 'overlayd.8');

interface Surface {
  readonly command: string;
  readonly aliases: readonly string[];
  readonly args: readonly { readonly name: string; readonly required: boolean; readonly multiple: boolean }[];
  readonly flags: readonly { readonly name: string; readonly char?: string; readonly aliases: readonly string[]; readonly required: boolean }[];
}
const surface: readonly Surface[] = JSON.parse(readFileSync(`${root}/command-snapshot.json`, 'utf8'));
const typed = (id: string): string => id.replaceAll(':', ' ');
const COMMON = Object.keys(COMMON_FLAGS);
/** Of oclif, for every command. */
const HELP = { name: 'help', char: '?' };
/** Takes any number of operands, to say in dladm's words that it has to be one. */
const COUNTS_ITSELF = ['modify-overlay'];
/** Of oclif's help plugin, and not of the snapshot. */
const HELP_COMMAND = 'help';

/** Lines under a heading, to the next one of its kind. */
function section(heading: string): string {
  const start = page.indexOf(`\n.${heading}\n`);
  expect(start, heading).toBeGreaterThan(0);
  const rest = page.slice(start + 1);
  const end = rest.slice(1).search(heading.startsWith('Ss') ? /^\.S[hs] /m : /^\.Sh /m);
  return rest.slice(0, end + 1);
}

/** The forms of the synopsis, by command. */
const synopses = new Map(
  section('Sh SYNOPSIS')
    .split('\n.Nm\n')
    .slice(1)
    .map((form) => [/^\.Cm (.+)$/m.exec(form)?.[1] ?? '', form]),
);

/** What stands behind a macro, wherever it is in a line: `Fl e Ar encap , Fl -encap Ns = Ns Ar encap`. */
const behind = (text: string, macro: string): string[] =>
  [...text.matchAll(/^\.(?!\\").*$/gm)].flatMap(([line]) =>
    [...line.matchAll(new RegExp(`(?:^\\.| )${macro} (\\S+)`, 'g'))].map(([, word]) => word ?? ''),
  );

/** `e` and `--encap`, as in `.It Fl e Ar encap , Fl -encap`. `fv` are two. */
const flagsIn = (text: string): string[] =>
  behind(text, 'Fl').flatMap((word) => (word.startsWith('-') ? [`-${word}`] : [...word.replace('\\&', '')].filter((char) => /[A-Za-z?]/.test(char))));

const flagsOf = ({ flags }: Surface): string[] =>
  flags
    .filter(({ name }) => !COMMON.includes(name))
    .flatMap(({ name, char, aliases }) => [...(char === undefined ? [] : [char]), `--${name}`, ...aliases.map((alias) => `--${alias}`)]);

const ownFields: Readonly<Record<string, readonly (readonly { readonly name: string }[])[]>> = {
  'show-link': [LINK_FIELDS, STATISTICS_FIELDS],
  'show-linkprop': [linkPropertyFields(false)],
  'show-overlay': [PROPERTY_FIELDS, HEALTH_FIELDS, TARGET_FIELDS],
  'show-plugins': [PLUGIN_FIELDS],
  'show-vnic': [VNIC_FIELDS],
  plugins: [fieldsOfSource('index')],
  'plugins:inspect': [fieldsOfSource('inspect')],
};

function fieldsOfSource(file: string): readonly { readonly name: string }[] {
  const source = readFileSync(`${root}/src/commands/plugins/${file}.ts`, 'utf8');
  return [...source.matchAll(/name: '([A-Z]+)'/g)].map(([, name]) => ({ name: name ?? '' }));
}

describe('overlayadm(8)', () => {
  it('has every command, in the order of their names, and no other', () => {
    const commands = [...surface.map(({ command }) => typed(command)), HELP_COMMAND].toSorted();
    expect([...synopses.keys()]).toEqual(commands);
    expect([...section('Sh SUBCOMMANDS').matchAll(/^\.Ss (.+)$/gm)].map(([, name]) => name)).toEqual(commands);
  });

  it.each(surface)('has $command with its options and operands, and no other', (command) => {
    const { args, flags } = command;
    const text = section(`Ss ${typed(command.command)}`);
    const synopsis = synopses.get(typed(command.command)) ?? '';
    const described = text.split('\n').filter((line) => line.startsWith('.It Fl '));
    expect(flagsIn(described.join('\n')).toSorted()).toEqual(flagsOf(command).toSorted());
    // The usage, in both places.
    const usage = text.slice(0, text.indexOf('\n.Pp\n'));
    expect(usage.split('\n').slice(2).join('\n').trim()).toBe(synopsis.trim());
    const short = flags.filter(({ name }) => !COMMON.includes(name)).map(({ name, char }) => char ?? `--${name}`);
    expect([...new Set(flagsIn(synopsis))].toSorted()).toEqual(short.toSorted());
    for (const { name, required, multiple } of args) {
      // It stands last: alone, or with dots where it can be repeated.
      const form = multiple ? `Ar ${name} ...` : `Ar ${name}`;
      const expected = COUNTS_ITSELF.includes(command.command) ? `.Ar ${name}` : required ? `.${form}` : `.Op ${form}`;
      expect(synopsis.trim().split('\n').at(-1)).toBe(expected);
    }
    if (args.length === 0) expect(synopsis.trim().split('\n').at(-1)).not.toMatch(/^\.(Op )?Ar /);
  });

  it.each(surface.filter(({ aliases }) => aliases.length > 0))('has the other names of $command', ({ command, aliases }) => {
    for (const alias of aliases) expect(section(`Ss ${typed(command)}`)).toContain(`\n.Cm ${typed(alias)}\n`);
  });

  it('has the options that every command has', () => {
    const described = section('Sh DESCRIPTION')
      .split('\n')
      .filter((line) => line.startsWith('.It Fl '));
    expect(flagsIn(described.join('\n')).toSorted()).toEqual([...COMMON.map((name) => `--${name}`), `--${HELP.name}`, HELP.char].toSorted());
  });

  it.each(Object.entries(ownFields))('has the fields of %s, and no other', (command, tables) => {
    const text = section(`Ss ${typed(command)}`);
    const names = new Set(tables.flat().map(({ name }) => name));
    const tags = [...text.matchAll(/^\.It Sy ([A-Z].*)$/gm)].flatMap(([, list]) => (list ?? '').split(' , '));
    // What a reader finds as a tag or, where a table is short, in a sentence.
    const marked = new Set(
      [...tags, ...behind(text, 'Sy')].filter((word) => /^[A-Z]{2,}$/.test(word) && !['ONLINE', 'DEGRADED', 'DOWN'].includes(word)),
    );
    expect([...marked].toSorted()).toEqual([...names].toSorted());
    if (command.startsWith('show-')) expect(tags).toEqual(tables.flat().map(({ name }) => name));
  });

  it('has every status that a command exits with', () => {
    const sources = ['src/core/cli/show/show-overlay.ts', 'src/core/cli/report.ts'].map((name) => readFileSync(`${root}/${name}`, 'utf8')).join('\n');
    const degraded = /EXIT_DEGRADED = ([0-9])/.exec(sources)?.[1];
    expect(section('Sh EXIT STATUS').match(/(?<=^\.It )[0-9]$/gm)).toEqual(['0', '1', '2', degraded]);
  });
});

describe('every page', () => {
  const known = [...surface.flatMap(({ command, aliases }) => [command, ...aliases]).map(typed), HELP_COMMAND];
  const flags = [...surface.flatMap(flagsOf), ...COMMON.map((name) => `--${name}`), '--help', '--version', '?'];

  it.each(others)('%s names commands and options that there are', (name) => {
    const text = readFileSync(`${root}/man/${name}`, 'utf8');
    const commands = [...text.matchAll(/^\..*?\bCm (.+)$/gm)].flatMap(([, rest]) =>
      (rest ?? '')
        .split(/ (?=[A-Z][a-z] )/)
        .slice(0, 1)
        .flatMap((list) => list.split(' , ').map((each) => each.replace(/ [.,:;]$/, '').replace(/^overlayadm /, ''))),
    );
    expect(commands.filter((command) => !known.includes(command))).toEqual([]);
    expect(flagsIn(text).filter((flag) => !flags.includes(flag))).toEqual([]);
  });
});

it('the commands that are built are those of command-snapshot.json', () => {
  expect(() => execFileSync(process.execPath, [`${root}/tools/snapshot.mjs`], { stdio: 'pipe' })).not.toThrow();
});
