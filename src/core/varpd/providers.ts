// From the package.json of each plugin package to the table of providers; says what was left out and why.
import { isAbsolute, join, relative } from 'node:path';
import { API_VERSION } from '@overlayadm/api';
import type { Provider, ProviderTable } from './messages.ts';

/** A package that somebody installed; `manifest` is its package.json, unchecked. */
export interface InstalledPackage {
  readonly root: string;
  readonly manifest: unknown;
}

type Loose = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null && !Array.isArray(value);
/** Longest package name (npm) and version, and path (PATH_MAX): what is longer is no plugin of ours. */
const MAX_TEXT_CHARS = 1024;
const NAME = /^[a-z][a-z0-9]{0,30}$/;

type Found = { readonly providers: readonly Provider[] } | { readonly problem: string };

const textOf = (value: unknown): string => (typeof value === 'string' ? value.slice(0, MAX_TEXT_CHARS) : 'unknown');

function isInside(root: string, file: string): boolean {
  if (file.length > MAX_TEXT_CHARS) return false;
  const path = relative(root, join(root, file));
  return path !== '' && !path.startsWith('..') && !isAbsolute(path);
}

function providerOf(owner: Omit<Provider, 'kind' | 'name' | 'module'>, entry: unknown): Provider | string {
  if (!isObject(entry)) return 'a provider is not an object';
  const { kind, name, module } = entry;
  if (kind !== 'encap' && kind !== 'lookup') return 'the kind of a provider is neither encap nor lookup';
  if (typeof name !== 'string' || !NAME.test(name)) return `the name of a provider of kind ${kind} is not of the form [a-z][a-z0-9]*`;
  if (typeof module !== 'string' || !isInside(owner.root, module)) return `the module of ${name} is not a file inside the package`;
  return { kind, name, ...owner, module };
}

/** Undefined for a package that does not say it brings providers, such as one with commands only. */
function readPackage({ root, manifest }: InstalledPackage): Found | undefined {
  if (!isObject(manifest)) return { problem: `plugin in ${root}: its package.json is not an object` };
  const { overlayadm } = manifest;
  if (overlayadm === undefined) return undefined;
  const owner = { package: textOf(manifest.name), version: textOf(manifest.version), root, api: API_VERSION };
  const refuse = (why: string): Found => ({ problem: `plugin ${owner.package} (${root}): left out, ${why}` });
  if (!isObject(overlayadm)) return refuse('"overlayadm" in its package.json is not an object');
  if (overlayadm.api !== API_VERSION)
    return refuse(`it is written for plugin api ${JSON.stringify(overlayadm.api)}, this overlayadm has ${API_VERSION}`);
  if (!Array.isArray(overlayadm.providers)) return refuse('"overlayadm.providers" in its package.json is not a list');
  const entries = (overlayadm.providers as unknown[]).map((entry) => providerOf(owner, entry));
  const wrong = entries.find((entry) => typeof entry === 'string');
  return wrong === undefined ? { providers: entries.filter((entry) => typeof entry !== 'string') } : refuse(wrong);
}

function describeDuplicate(same: readonly Provider[]): string {
  const [first] = same;
  const owners = same.map((provider) => `${provider.package} (${provider.root})`).join(' and ');
  return `${first?.kind} ${first?.name}: left out, it is brought by ${owners}; remove all but one`;
}

/** Total over what packages say. Sorted by kind and name, so that the order does not depend on who was read first. */
export function collectProviders(packages: readonly InstalledPackage[]): ProviderTable {
  const found = packages.map(readPackage).filter((item) => item !== undefined);
  const problems = found.flatMap((item) => ('problem' in item ? [item.problem] : []));
  const byName = Map.groupBy(
    found.flatMap((item) => ('providers' in item ? item.providers : [])),
    ({ kind, name }) => `${kind} ${name}`,
  );
  const providers: Provider[] = [];
  for (const key of [...byName.keys()].sort()) {
    const same = byName.get(key) ?? [];
    if (same.length === 1) providers.push(...same);
    else problems.push(describeDuplicate(same));
  }
  return { providers, problems };
}
