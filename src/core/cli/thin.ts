// The thin path: runs a show command without loading oclif, when what was typed is plain enough to be understood here.
// tools/bundle.mjs makes one file of it and of what it imports: to find and link thirty modules takes longer than to run them.
import { readFileSync } from 'node:fs';
import { connectToDaemon } from './connect.ts';
import { runShow } from './show/context.ts';
import { SHOW_LINK } from './show/show-link.ts';
import { SHOW_LINKPROP } from './show/show-linkprop.ts';
import { SHOW_OVERLAY } from './show/show-overlay.ts';
import { SHOW_PLUGINS } from './show/show-plugins.ts';
import { SHOW_VNIC } from './show/show-vnic.ts';
import type { ShowSpecification } from './show/specification.ts';
import { readWords } from './show/words.ts';

export const THIN_COMMANDS: readonly ShowSpecification[] = [SHOW_OVERLAY, SHOW_VNIC, SHOW_LINK, SHOW_LINKPROP, SHOW_PLUGINS];

/** What makes oclif talkative, or prints JSON without --json. */
const FOR_OCLIF = ['DEBUG', 'CLI_FLAGS_DEBUG', 'OVERLAYADM_CONTENT_TYPE'];

/**
 * Sets the exit status and never rejects; `root` is the folder of the package.
 * @returns false when nothing was printed or asked, and the command line is oclif's
 */
export async function runThin([id, ...args]: readonly string[], root: string): Promise<boolean> {
  const specification = THIN_COMMANDS.find((command) => command.id === id);
  if (specification === undefined || FOR_OCLIF.some((name) => process.env[name])) return false;
  const words = readWords(args, specification);
  if (words === undefined) return false;
  process.exitCode = await runShow(specification, words, () => connectToDaemon({ root, version: versionOf(root) }, process.env));
  return true;
}

const versionOf = (root: string): string => (JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { readonly version: string }).version;
