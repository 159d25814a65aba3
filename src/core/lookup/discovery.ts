// Which plugins are there: asks `varpd --list`, and reads what is noted of them when that fails.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '@overlayadm/api';
import { LIST_TIMEOUT_MS, MAX_LIST_BYTES } from '../util/limits.ts';
import { checkProviderTable, collectProviders, type InstalledPackage, type ProviderTable, readInstalled } from '../varpd/protocol.ts';
import { type HostRights, systemRights } from './host-process.ts';
import { findDependency, ownRoot, readManifest } from './packages.ts';
import { whyNotReadable } from './reach.ts';
import { setprivArguments } from './rights.ts';

export interface Discovery {
  readonly rights: HostRights;
  /** The folder of our package.json. */
  readonly root: string;
  /** $OVERLAYADM_DATA_DIR: where `overlayadm plugins` keeps what was installed and linked. */
  readonly dataDir: string;
  /** ms */
  readonly timeout: number;
}

const BUNDLED = '@overlayadm/plugin-';

/** Folders outside the data directory that were linked, as far as its package.json can be read; what is wrong with it the list says. */
const linkedFolders = (dataDir: string): readonly string[] =>
  readInstalled(dataDir)
    .packages.map(({ folder }) => folder)
    .filter((folder) => existsSync(folder));

/** The folder itself, or the first one above it that is there. */
const nearestFolder = (path: string): string => (existsSync(path) || path === dirname(path) ? path : nearestFolder(dirname(path)));

/** It reads what strangers have written: this process too has no right but to read. */
function listCommand({ rights, root, dataDir }: Discovery): readonly string[] {
  const { node, program, powers, user } = rights;
  const paths = [node, program.main, ...program.folders, root, nearestFolder(dataDir), ...linkedFolders(dataDir)];
  const reachable = paths.every((path) => whyNotReadable(path, user) === undefined);
  return [
    'setpriv',
    ...setprivArguments(powers, reachable ? user : undefined),
    node,
    '--permission',
    '--allow-fs-read=*',
    program.main,
    '--list',
    root,
  ];
}

/** What the program printed. @throws Error when it fails, prints too much, or takes too long */
function runList(discovery: Discovery): Promise<string> {
  const [command = 'setpriv', ...args] = listCommand(discovery);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const env = { OVERLAYADM_DATA_DIR: discovery.dataDir, HOME: '/' };
  const child = spawn(command, args, { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'], timeout: discovery.timeout, killSignal: 'SIGKILL' });
  let printed = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
    if (printed.length > MAX_LIST_BYTES) child.kill('SIGKILL');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  child.once('error', reject);
  child.once('close', (status, signal) => {
    if (status === 0) resolve(printed);
    else
      reject(
        new Error(`${signal === null ? `exit status ${status}` : `ended by ${signal}, after ${discovery.timeout} ms at most`} ${complaint}`.trim()),
      );
  });
  return promise;
}

interface Place {
  readonly name: string;
  /** undefined when it is nowhere. */
  readonly folder: string | undefined;
}

function bundledPlaces(root: string): readonly Place[] {
  const names = Object.keys((readManifest(root).dependencies ?? {}) as object).filter((name) => name.startsWith(BUNDLED));
  return names.map((name) => ({ name, folder: findDependency(root, name) }));
}

const installedPlaces = (dataDir: string): readonly Place[] =>
  readInstalled(dataDir).packages.map(({ name, folder }) => ({ name, folder: existsSync(folder) ? realpathSync(folder) : undefined }));

function readProviders(bundled: readonly Place[], outside: readonly Place[] = []): ProviderTable {
  const packages: InstalledPackage[] = [];
  const problems: string[] = [];
  for (const place of [...bundled, ...outside]) {
    const { name, folder } = place;
    try {
      if (folder === undefined) problems.push(`plugin ${name}: left out, it is not installed`);
      else packages.push({ name, root: folder, bundled: bundled.includes(place), manifest: readManifest(folder) });
    } catch (error) {
      problems.push(`plugin ${name}: left out, ${messageOf(error)}`);
    }
  }
  const table = collectProviders(packages);
  return { providers: table.providers, problems: [...problems, ...table.problems] };
}

/** The plugins that come with us, read without oclif. */
export const bundledProviders = (root: string): ProviderTable => readProviders(bundledPlaces(root));

/** Without the program, which failed; `why`: what it said. What is read is data only. */
function providersWithoutOclif({ root, dataDir }: Discovery, why: string): ProviderTable {
  const { problems } = readInstalled(dataDir);
  const table = readProviders(bundledPlaces(root), installedPlaces(dataDir));
  return { providers: table.providers, problems: [`plugins in ${dataDir}: listing them failed: ${why}`, ...problems, ...table.problems] };
}

/** Never rejects: what could not be found out is a problem in the table. */
export async function discoverProviders(discovery: Discovery): Promise<ProviderTable> {
  try {
    const checked = checkProviderTable(JSON.parse(await runList(discovery)));
    if (checked.ok) return checked.value;
    throw new Error(`it printed no table of providers (${checked.reason})`);
  } catch (error) {
    return providersWithoutOclif(discovery, messageOf(error));
  }
}

export const systemDiscovery = (dataDir: string): Discovery => ({ rights: systemRights(), root: ownRoot(), dataDir, timeout: LIST_TIMEOUT_MS });
