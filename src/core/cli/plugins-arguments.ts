// The operands of `plugins install`: a package of the registry, or a file that npm made.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OverlayError } from '../rpc/errors.ts';
import { usageError } from './usage.ts';

/**
 * What oclif has to be given: it takes every name with a / and without a : for a repository at GitHub, so a path becomes a
 * `file:` address.
 * @throws OverlayError USAGE, PLUGIN_NOT_FOUND for a file that is not there.
 */
export function packageArgument(text: string): string {
  // npm would take it for an option of its own, one that allows scripts for example.
  if (text.startsWith('-')) throw usageError(`not a package: ${text}`);
  const path = pathOf(text);
  if (path === undefined) return text;
  if (!existsSync(path)) throw new OverlayError('PLUGIN_NOT_FOUND', `${path}: no such file`, { details: { path } });
  return `file:${path}`;
}

function pathOf(text: string): string | undefined {
  if (text.startsWith('file://')) return fileURLToPath(text);
  if (text.startsWith('file:')) return resolve(text.slice('file:'.length));
  const isPath = text.startsWith('/') || text.startsWith('./') || text.startsWith('../') || /\.(?:tgz|tar\.gz)$/.test(text);
  return isPath && !/^[a-z+]+:/.test(text) ? resolve(text) : undefined;
}
