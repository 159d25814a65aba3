// Which first words of a command line are commands of this package, by the manifest that the build writes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** True for our own commands, and for no word at all or an option (`--version`). `help`, which tells of others too, is not. */
export function isOurs(root, word) {
  if (word === undefined || word.startsWith('-')) return true;
  const { commands } = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8'));
  return Object.values(commands).some(({ id, aliases }) => [id, ...aliases].some((name) => name.split(':')[0] === word));
}
