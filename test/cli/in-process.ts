// Runs a command in this process, which is ten times as fast as a process of its own, and gives what it would have printed.
import { fileURLToPath } from 'node:url';
import { type Command, Config } from '@oclif/core';
import { vi } from 'vitest';
import type { Outcome } from './overlayadm.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
let loaded: Promise<Config> | undefined;

/** Without any command: the class is given, not looked for. */
function config(): Promise<Config> {
  const pjson = { name: 'overlayadm', version: '0.1.0', oclif: { bin: 'overlayadm', topicSeparator: ' ' } };
  loaded ??= Config.load({ root, pjson: pjson as never, userPlugins: false, devPlugins: false, isRoot: true, ignoreManifest: true });
  return loaded;
}

/** One at a time: environment, output and exit status are those of the process. */
export async function runHere(command: typeof Command, args: readonly string[], environment: Readonly<Record<string, string>>): Promise<Outcome> {
  // oclif complains about much more when this is `test`.
  const variables = { NODE_ENV: 'production', ...environment };
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  const said = { stdout: '', stderr: '' };
  const capture = (name: 'stdout' | 'stderr') =>
    vi.spyOn(process[name], 'write').mockImplementation((chunk: unknown) => {
      said[name] += String(chunk);
      return true;
    });
  // vitest has put its own console in place of the one that writes there.
  const log = vi.spyOn(console, 'log').mockImplementation((text: string) => {
    said.stdout += `${text}\n`;
  });
  const spies = [capture('stdout'), capture('stderr'), log];
  process.exitCode = undefined;
  try {
    await (command as unknown as { run(args: string[], config: Config): Promise<unknown> }).run([...args], await config());
    return { status: Number(process.exitCode ?? 0), ...said };
  } finally {
    for (const spy of spies) spy.mockRestore();
    process.exitCode = undefined;
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
