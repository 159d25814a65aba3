// Differential: whatever is typed after a show command, the thin path prints what oclif's path prints, or leaves it to that one.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ShowSpecification } from '../../src/core/cli/show/specification.ts';
import { THIN_COMMANDS } from '../../src/core/cli/thin.ts';
import { type FakeDaemon, fakeDaemon } from './fake-daemon.ts';
import { showHandlers } from './show-daemon.ts';
import { type TwoPaths, twoPaths } from './two-paths.ts';

let paths: TwoPaths;
let daemon: FakeDaemon;
beforeAll(async () => {
  paths = await twoPaths();
  // Answers depend on nothing but the question, so that both paths see the same.
  const statistics = async ({ link }: { readonly link: string }) =>
    showHandlers()['link.statistics']?.({ link }, undefined as never) ?? Promise.reject();
  daemon = await fakeDaemon({ handlers: { ...showHandlers(), 'link.statistics': statistics } });
});
afterAll(async () => {
  paths[Symbol.dispose]();
  await daemon[Symbol.asyncDispose]();
});

const VALUES = ['link', 'LINK,status', 'all', 'x', '', 'mtu', 'netns,zone', 'overlay0', '=link', '-1'];
const OPERANDS = ['overlay0', 'overlay1', 'vnic0', 'lo', 'nope', '-', '--', ''];
const ODD = ['-c', '-P', '-l', '--help', '-?', '-x', '--nope', '--json=1', '--no-json', '--color', '-p=1', '--parsab', '-pp', '-0'];

/** Every flag in each of its spellings, with and without a value; -i only where it is refused, for it would never end. */
function spellings(specification: ShowSpecification): string[][] {
  const flags = Object.entries(specification.flags).filter(([name]) => name !== 'interval');
  const own = flags.flatMap(([name, { char, aliases = [], value }]) => {
    const long = [name, ...aliases].map((each) => `--${each}`);
    const short = char === undefined ? [] : [`-${char}`];
    if (value === undefined) return [...long, ...short].map((form) => [form]);
    return VALUES.flatMap((text) => [
      ...long.flatMap((form) => [[form, text], [`${form}=${text}`]]),
      ...short.flatMap((form) => [[form, text], [`${form}${text}`]]),
    ]);
  });
  return [
    ...own,
    ['--json'],
    ['--no-color'],
    ['-fto', 'link'],
    ['-tp'],
    ['-i', '1'],
    ['-i', 'x'],
    ...ODD.map((word) => [word]),
    ...OPERANDS.map((word) => [word]),
  ];
}

/** -i with -s goes on for ever. */
const ends = (args: readonly string[]): boolean => !(args.includes('-i') && args.some((word) => /^(-[a-z]*s|--statistics)/.test(word)));

describe.each(THIN_COMMANDS)('$id', (specification) => {
  const { id } = specification;
  const forms = spellings(specification);
  it('alone, and with each form of each flag', { timeout: 60_000 }, async () => {
    await paths.run(daemon.run, [id], 'thin');
    for (const form of forms) await paths.run(daemon.run, [id, ...form]);
  });

  it('with several', { timeout: 60_000 }, async () => {
    const words = fc.array(fc.constantFrom(...forms), { minLength: 2, maxLength: 5 }).map((several) => [id, ...several.flat()]);
    await fc.assert(
      fc.asyncProperty(words.filter(ends), async (args) => {
        await paths.run(daemon.run, args);
      }),
      { numRuns: 60 },
    );
  });
});

it('other commands are left to oclif', async () => {
  for (const args of [['delete-overlay'], ['show'], ['show-overlay:x'], ['toString'], []])
    expect(await paths.run(daemon.run, args, 'oclif')).toBeDefined();
});
