// The command line that people and scripts rely on: compares the built commands with command-snapshot.json, `--update`
// rewrites it.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Plugin } from '@oclif/core';
import { root } from './lib.mjs';

const file = join(root, 'command-snapshot.json');

/** Names, letters and shapes only: texts of help may change. */
function surfaceOf({ id, aliases, hiddenAliases, args, flags }) {
  const argument = ({ name, required = false, multiple = false }) => ({ name, required, multiple });
  const flag = ({ name, char, type, multiple = false, required = false, aliases: others = [], charAliases = [] }) => ({
    name,
    ...(char === undefined ? {} : { char }),
    type,
    multiple,
    required,
    aliases: [...others, ...charAliases].sort(),
  });
  const byName = (a, b) => (a.name < b.name ? -1 : 1);
  return {
    command: id,
    aliases: [...aliases, ...hiddenAliases].sort(),
    args: Object.values(args).map(argument),
    flags: Object.values(flags).map(flag).sort(byName),
  };
}

const plugin = new Plugin({ root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true, respectNoCacheDefault: true });
await plugin.load();
const commands = Object.values(plugin.manifest.commands).sort((a, b) => (a.id < b.id ? -1 : 1));
const now = `${JSON.stringify(commands.map(surfaceOf), null, 2)}\n`;

if (process.argv.includes('--update')) {
  writeFileSync(file, now);
} else if (!existsSync(file) || readFileSync(file, 'utf8') !== now) {
  process.stdout.write(now);
  console.error('snapshot: commands, operands or flags are not those of command-snapshot.json');
  console.error('snapshot: if that is meant, run: node tools/snapshot.mjs --update');
  process.exit(1);
}
