// The frozen command line: what is built is what was frozen, and the manual page knows every command and option of it.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(`${root}/man/overlayadm.8`, 'utf8');

interface Surface {
  readonly command: string;
  readonly args: readonly { readonly name: string }[];
  readonly flags: readonly { readonly name: string; readonly char?: string }[];
}
const surface: readonly Surface[] = JSON.parse(readFileSync(`${root}/command-snapshot.json`, 'utf8'));

/** What the page says under the heading of a command. */
function sectionOf(command: string): string {
  const list = page.slice(page.indexOf('.Ss Commands'));
  const start = list.indexOf(`Cm ${command}`);
  expect(start, `${command} in the page`).toBeGreaterThan(0);
  const next = list.slice(start + 4).search(/^\.(It Cm|It Xo|Sh)/m);
  return list.slice(start, start + 4 + next);
}

describe('overlayadm(8)', () => {
  it.each(surface)('has $command with its operands and options', ({ command, args, flags }) => {
    const section = sectionOf(command);
    for (const { name } of args) expect(section).toContain(`Ar ${name}`);
    for (const { name, char } of flags.filter((flag) => flag.name !== 'json')) {
      expect(section).toContain(`Fl -${name}`);
      expect(section).toMatch(new RegExp(`^\\.It Fl ${char}\\b`, 'm'));
    }
  });

  it.skipIf(!existsSync('/usr/bin/mandoc'))('has nothing that mandoc would mend', () => {
    expect(execFileSync('mandoc', ['-T', 'lint', '-W', 'warning', `${root}/man/overlayadm.8`], { encoding: 'utf8' })).toBe('');
  });
});

it('the commands that are built are those of command-snapshot.json', () => {
  expect(() => execFileSync(process.execPath, [`${root}/tools/snapshot.mjs`], { stdio: 'pipe' })).not.toThrow();
});
