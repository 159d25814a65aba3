// What is said when npm or oclif refused a package: the reason that npm gave, which oclif drops.
import { OverlayError } from '../rpc/errors.ts';
import { npmReasons, runNpm } from './npm.ts';
import type { ProgramFailed } from './plugins-program.ts';

/** `verb`: "installed", "linked", "uninstalled". */
export async function pluginFailure(failed: ProgramFailed, verb: string, what: string, directory: string): Promise<OverlayError> {
  if (failed.message === 'plugin is invalid') {
    return new OverlayError('PLUGIN_INVALID', `${what}: not a plugin (its package.json has no key "oclif")`, {
      details: { package: what },
      advice: 'The package.json of a plugin has "oclif": {} and the key "overlayadm"; see overlay_plugin(7).',
      cause: failed,
    });
  }
  const absent = /^(\S+) does not exist in the registry\.$/.exec(failed.message)?.[1];
  if (absent !== undefined) return await notInRegistry(absent, directory);
  const missing = /^(\S+) is not installed$/.exec(failed.message)?.[1];
  if (missing !== undefined) {
    return new OverlayError('PLUGIN_NOT_FOUND', `${missing}: not installed`, {
      details: { package: missing },
      advice: 'overlayadm plugins lists them.',
    });
  }
  const lines = npmReasons(failed.lines);
  const why = /exited with code \d+$/.test(failed.message) ? 'npm failed' : failed.message.replaceAll('\n', ' ');
  return new OverlayError('PLUGIN_FAILED', `${what}: cannot be ${verb} (${why})`, {
    details: { package: what, lines },
    ...(lines.length === 0 ? {} : { advice: lines.join('\n') }),
    cause: failed,
  });
}

/** oclif says so of every failure, also when there is no network. */
async function notInRegistry(name: string, directory: string): Promise<OverlayError> {
  const { lines } = await runNpm(directory, 'view', name, 'name');
  if (lines.length === 0 || lines.some((line) => /\bE404\b/.test(line))) {
    return new OverlayError('PLUGIN_NOT_FOUND', `${name}: no such package in the registry`, { details: { package: name, lines } });
  }
  return new OverlayError('PLUGIN_FAILED', `${name}: the registry cannot be asked`, { details: { package: name, lines }, advice: lines.join('\n') });
}
