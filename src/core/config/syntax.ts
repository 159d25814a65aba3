// The bytes of a configuration file as plain data. YAML and JSON only, by the loaders of cosmiconfig.
//
// Not by its explorer: cosmiconfig() looks for options of its own in the working directory, where it runs .config/config.js;
// `$import` in a file makes it read others that nobody checked; a file it may not read is for it a file that is not there.
import type { defaultLoadersSync } from 'cosmiconfig';
import { invalid } from './errors.ts';
import { whyNotJson } from './json.ts';

/** The names that a configuration file may have, each with the loader for it. */
export const PLACES = ['config.yaml', 'config.json'] as const;

type Loaders = Pick<typeof defaultLoadersSync, '.yaml' | '.json'>;

/** Imported when there is a file to read: most hosts have none. */
const loaders = async (): Promise<Loaders> => (await import('cosmiconfig')).defaultLoadersSync;

/** What js-yaml throws. `reason` is the message without the lines of the file around the mistake. */
interface YamlException {
  readonly reason: string;
  readonly mark?: { readonly line: number; readonly column: number };
}

/**
 * null for a YAML file without any contents. An alias is the same object as its anchor, so nothing is expanded; whoever walks
 * the data must not go deeper than it has to.
 * @throws OverlayError CONFIG_INVALID with line and column. No text of the file is in it: it may be for root's eyes only.
 */
export async function parseConfiguration(path: string, bytes: Uint8Array): Promise<unknown> {
  const text = decode(path, bytes);
  return path.endsWith('.json') ? parseJson(path, text, await loaders()) : parseYaml(path, text, await loaders());
}

/** Drops a byte order mark. */
function decode(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalid({ path }, 'is not UTF-8', 'Save it as UTF-8.');
  }
}

function parseJson(path: string, text: string, { '.json': load }: Loaders): unknown {
  const mistake = whyNotJson(text);
  if (mistake === undefined) return load(path, text);
  const before = text.slice(0, mistake.at).split(/\r\n|[\r\n]/);
  throw invalid({ path, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }, mistake.reason, 'Correct the file.');
}

/** Comments, markers and empty lines only: everything is commented out. */
const isBlank = (text: string): boolean => text.split(/[\r\n]/).every((line) => /^(---(?![^ \t]))?[ \t]*(#.*)?$/.test(line));

function parseYaml(path: string, text: string, { '.yaml': load }: Loaders): unknown {
  if (isBlank(text)) return null;
  try {
    return load(path, text);
  } catch (error) {
    const { reason, mark } = error as YamlException;
    const place = mark === undefined ? { path } : { path, line: mark.line + 1, column: mark.column + 1 };
    throw invalid(place, withoutText(String(reason)), 'Correct the file. An IPv6 address that begins or ends with a colon needs quotes.');
  }
}

/** js-yaml repeats names of tags, anchors and aliases behind its words. */
const withoutText = (reason: string): string => reason.replace(/(: | ["!<]).*$/s, '');
