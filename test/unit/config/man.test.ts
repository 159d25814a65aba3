// overlayadm.conf(5) against what it describes.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KEYS, loadConfiguration } from '../../../src/core/config/configuration.ts';
import { PLACES } from '../../../src/core/config/syntax.ts';
import { DIRECTORY_VARIABLES } from '../../../src/core/util/directories.ts';
import { MAX_CONFIGURATION_BYTES, MAX_PATH_BYTES, MAX_PROPERTY_BYTES } from '../../../src/core/util/limits.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

const page = readFileSync(new URL('../../../man/overlayadm.conf.5', import.meta.url), 'utf8');
const { variable, fallback } = DIRECTORY_VARIABLES.config;

describe('overlayadm.conf(5)', () => {
  it('has every key and no other', () => {
    const list = page.slice(page.indexOf('this key; any other one'), page.indexOf('.Ss Defaults'));
    expect(list.match(/(?<=^\.It Sy ).+$/gm)).toEqual(Object.keys(KEYS));
  });

  it('has the files, the directory, its variable and the limits', () => {
    for (const place of PLACES) expect(page).toContain(`.It Pa ${fallback}/${place}\n`);
    expect(page).toContain(`.Pa ${fallback} ,\nor what\n.Ev ${variable}\n`);
    expect(page).toContain(`at most ${MAX_CONFIGURATION_BYTES / 1024} KiB`);
    expect(page).toContain(`at most ${MAX_PROPERTY_BYTES} bytes, or of ${MAX_PATH_BYTES} when`);
  });

  it('has every code of an error, and no other', () => {
    const codes = readFileSync(new URL('../../../src/core/config/errors.ts', import.meta.url), 'utf8').match(/CONFIG_[A-Z]+/g);
    expect(page.match(/(?<=^\.It Er )CONFIG_[A-Z]+$/gm)?.sort()).toEqual(codes?.sort());
  });

  it('has examples that mean the same', async () => {
    const examples = page.match(/(?<=^\.Bd -literal -offset indent\n)[\s\S]*?(?=^\.Ed)/gm) ?? [];
    const expected = [
      ['vxlan/listen_ip', '192.0.2.1'],
      ['files/config', '/etc/overlayadm/map.json'],
    ];
    for (const [name, example] of [[PLACES[0], examples[0]] as const, [PLACES[1], examples[2]] as const]) {
      const directory = temporaryFolder();
      writeFileSync(join(directory, name), example ?? '', { mode: 0o600 });
      expect([...(await loadConfiguration(directory)).defaults]).toEqual(expected);
    }
  });
});
