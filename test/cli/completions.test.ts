// Completion: the files are of the commands as they are, and bash offers what overlayadm answers.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { completions, surface } from '../../tools/completions.mjs';
import { skipUnless } from '../helpers/requirements.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

const folder = fileURLToPath(new URL('../../completions', import.meta.url));
const base = temporaryFolder();

// What overlayadm answers; any other question is written down, and has no answer.
const FAKE = `#!/bin/sh
case "$*" in
  'show-overlay -p -o link') printf 'overlay0\\noverlay0\\nnet1\\n' ;;
  'show-overlay -f -p -o link') printf 'overlay0\\nnet1\\nsaved2\\n' ;;
  'show-vnic -p -o link') printf 'vnic0\\nvnic1\\n' ;;
  'show-link -p -o link') printf 'overlay0\\nnet1\\nvnic0\\nvnic1\\n' ;;
  'show-plugins -p -o name') printf 'vxlan\\nfiles\\n' ;;
  'show-plugins -p -o kind,name') printf 'encap:vxlan\\nlookup:direct\\nlookup:files\\n' ;;
  'show-plugins -p -o kind,name,properties')
    printf 'encap:vxlan:vxlan/listen_ip,vxlan/listen_port\\nlookup:direct:direct/dest_ip\\nlookup:files:files/config\\nlookup:broken:?\\n' ;;
  'show-linkprop -c -o property,perm') printf 'mtu:rw\\nnetns:rw\\nstate:r-\\nfiles/config:rw\\nvxlan/listen_port:r-\\nmtu:rw\\n' ;;
  'show-linkprop -c -o property,perm vnic0') printf 'mtu:rw\\nnetns:rw\\nstate:r-\\n' ;;
  'show-linkprop -c -o property,perm overlay0') printf 'mtu:rw\\nfiles/config:rw\\nvxlan/listen_port:r-\\n' ;;
  'show-linkprop -c -o property') printf 'mtu\\nfiles/config\\nmtu\\n' ;;
  'plugins') printf 'PACKAGE   VERSION\\nouter     1.0.0\\n' ;;
  *) echo "$*" >> ${base}/unknown ;;
esac
echo 'overlayadm: warning: of no interest' >&2
`;

/** A folder with our overlayadm, for PATH. */
function fake(): string {
  const bin = join(base, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'overlayadm'), FAKE);
  chmodSync(join(bin, 'overlayadm'), 0o755);
  return `${bin}:${process.env.PATH ?? ''}`;
}

/** What bash would put in place of the last word, for each line; the cursor is at its end, or at the first |. */
function offered(lines: readonly string[]): string[][] {
  const script = `source "$1"; shift
for line; do before=\${line%%|*}; COMP_LINE=\${line/|/}; COMP_POINT=\${#before}; COMPREPLY=(); _overlayadm; printf '%s\\n' "\${COMPREPLY[@]}" | sort | tr '\\n' ' '; echo; done`;
  const env = { PATH: fake(), LC_ALL: 'C' };
  const args = ['--norc', '-c', script, 'bash', join(folder, 'overlayadm.bash'), ...lines];
  const stdout = execFileSync('bash', args, { env, encoding: 'utf8', cwd: base, stdio: ['ignore', 'pipe', 'inherit'] });
  return stdout
    .slice(0, -1)
    .split('\n')
    .map((line) => line.split(' ').filter((word) => word !== ''));
}

it('the files are what tools/completions.mjs makes of the commands', async () => {
  for (const [name, text] of await completions()) expect(readFileSync(join(folder, name), 'utf8'), name).toBe(text);
});

describe('bash', () => {
  it('offers every command and every option of it', async () => {
    const commands = await surface();
    const [first = [], second = [], ...options] = offered([
      'overlayadm ',
      'overlayadm plugins ',
      ...commands.map(({ command }) => `overlayadm ${command} -`),
    ]);
    const names = commands.map(({ command }) => command);
    expect(first).toEqual([...names.filter((name) => !name.includes(' ')), 'help', '--help', '--version'].sort());
    expect(second).toEqual(names.flatMap((name) => name.split(' ')[1] ?? []).sort());
    const wanted = commands.map(({ flags }) => [
      ...flags.flatMap(({ name, char }) => [`--${name}`, ...(char === undefined ? [] : [`-${char}`])]),
      '--help',
    ]);
    expect(options).toEqual(wanted.map((words) => words.sort()));
  });

  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['show-ov', ['show-overlay']],
    ['help set', ['set-linkprop']],
    ['create-overlay -e ', ['vxlan']],
    ['create-overlay --search f', ['files']],
    ['create-overlay -e vxlan -s files -v 23 -p ', ['datapath=', 'files/config=', 'mtu=', 'vxlan/listen_ip=', 'vxlan/listen_port=']],
    ['create-overlay -e vxlan -s direct -p d', ['datapath=', 'direct/dest_ip=']],
    // Only what stands after the last word break of readline is replaced: after = or :, not after a comma.
    ['create-overlay -e vxlan -p mtu=1400,vxlan/listen_i', ['1400,vxlan/listen_ip=']],
    ['create-overlay -e vxlan -p vxlan/listen_ip=fd00::1,m', ['1,mtu=']],
    ['create-overlay -v ', []],
    ['create-vnic -l ', ['net1', 'overlay0']],
    ['create-vnic -l overlay0 -p n', ['netns=']],
    ['delete-overlay ', ['net1', 'overlay0', 'saved2']],
    ['delete-vnic -t vnic', ['vnic0', 'vnic1']],
    ['modify-overlay -f o', ['overlay0']],
    ['modify-overlay -d ', []],
    ['create-overlay --encap=', ['vxlan']],
    ['create-overlay --search=f', ['files']],
    ['create-overlay --encap=vxlan -p v', ['vxlan/listen_ip=', 'vxlan/listen_port=']],
    ['create-overlay --prop=mtu=1400,vxlan/listen_i', ['1400,vxlan/listen_ip=']],
    ['delete-overlay --json=', []],
    ['set-linkprop -p ', ['files/config=', 'mtu=', 'netns=']],
    ['set-linkprop vnic0 -p ', ['mtu=', 'netns=']],
    ['set-linkprop -t overlay0 --prop=', ['files/config=', 'mtu=']],
    ['set-linkprop -p | overlay0', ['files/config=', 'mtu=']],
    ['set-linkprop -tp mtu=1400,n|ets vnic0', ['1400,netns=']],
    ['reset-linkprop vnic0 -p n', ['netns']],
    ['show-linkprop -p f', ['files/config']],
    ['show-overlay -o ', ['default', 'link', 'perm', 'possible', 'property', 'req', 'value']],
    ['show-overlay -fpo link,s', ['link,status']],
    ['show-overlay --target --output=d', ['destination']],
    ['show-overlay -po link,property --check -f -o d', ['details']],
    ['show-link -so o', ['obytes', 'opackets']],
    ['show-link -p -o o', ['over']],
    ['show-linkprop -co v', ['value']],
    ['show-plugins -o k', ['kind']],
    ['show-vnic -o mac', ['macaddress']],
    ['set-linkprop -p mtu=1400 ', ['net1', 'overlay0', 'vnic0', 'vnic1']],
    ['reset-linkprop -p mtu,f', ['mtu,files/config']],
    ['show-overlay s', ['saved2']],
    ['show-link v', ['vnic0', 'vnic1']],
    ['show-vnic -l n', ['net1']],
    ['show-plugins ', ['files', 'vxlan']],
    ['up-overlay saved', ['saved2']],
    ['plugins u', ['uninstall', 'update']],
    ['plugins uninstall ', ['outer']],
    ['plugins link b', ['bin']],
    ['nonsense ', []],
  ];

  it('offers names that overlayadm has', () => {
    const found = offered(cases.map(([line]) => `overlayadm ${line}`));
    expect(cases.map(([line], index) => [line, found[index]])).toEqual(cases);
    expect(() => readFileSync(join(base, 'unknown'))).toThrow('ENOENT');
  });
});

for (const shell of ['zsh', 'fish']) {
  skipUnless({ commands: [shell] })(`completion of ${shell}`, () => {
    it('can be read by it', () => {
      execFileSync(shell, ['-n', join(folder, `overlayadm.${shell}`)], { stdio: ['ignore', 'ignore', 'inherit'] });
    });
  });
}

skipUnless({ commands: ['fish'] })('completion of fish, asked', () => {
  it.each([
    ['overlayadm show-ov', ['show-overlay']],
    ['overlayadm modify-overlay ', ['net1', 'overlay0']],
    ['overlayadm plugins u', ['uninstall', 'update']],
  ])('offers for "%s" what there is', (line, expected) => {
    const asked = `source ${join(folder, 'overlayadm.fish')}; complete -C '${line}'`;
    const said = execFileSync('fish', ['--no-config', '-c', asked], { encoding: 'utf8', env: { PATH: fake(), HOME: base } });
    expect(
      said
        .split('\n')
        .flatMap((row) => (row === '' ? [] : [row.split('\t')[0]]))
        .toSorted(),
    ).toEqual(expected);
  });
});
