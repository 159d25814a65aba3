// From the package.json of each plugin package to the table of providers; says what was left out and why.
import { isAbsolute, join, relative } from 'node:path';
import { API_VERSION } from '@overlayadm/api';
import type { Provider, ProviderTable } from './messages.ts';

/** A package that somebody installed; `manifest` is its package.json, unchecked. */
export interface InstalledPackage {
  readonly root: string;
  readonly manifest: unknown;
  /** As whoever installed it calls it; as its manifest does when not given. */
  readonly name?: string;
  /** It comes with overlayadm: no other package takes its name, or that of a provider of it. */
  readonly bundled?: boolean;
}

type Loose = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null && !Array.isArray(value);
/** Longest package name (npm) and version, and path (PATH_MAX): what is longer is no plugin of ours. */
const MAX_TEXT_CHARS = 1024;
const NAME = /^[a-z][a-z0-9]{0,30}$/;

type Found = { readonly providers: readonly Provider[]; readonly bundled: boolean } | { readonly problem: string };

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
function readPackage({ root, manifest, bundled = false }: InstalledPackage): Found | undefined {
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
  return wrong === undefined ? { providers: entries.filter((entry) => typeof entry !== 'string'), bundled } : refuse(wrong);
}

/** The names of packages that come with overlayadm, which a package of somebody else may not take. */
function withoutImpostors(packages: readonly InstalledPackage[]): { readonly packages: readonly InstalledPackage[]; readonly problems: string[] } {
  const namesOf = ({ name, manifest }: InstalledPackage): unknown[] => [name, isObject(manifest) ? manifest.name : undefined];
  const taken = new Set(packages.filter(({ bundled }) => bundled).flatMap(namesOf));
  const impostor = (each: InstalledPackage): unknown =>
    each.bundled ? undefined : namesOf(each).find((name) => name !== undefined && taken.has(name));
  const problems = packages.flatMap((each) => {
    const name = impostor(each);
    if (name === undefined) return [];
    return [`plugin ${textOf(name)} (${each.root}): left out, the package of that name that comes with overlayadm is used; uninstall it`];
  });
  return { packages: packages.filter((each) => impostor(each) === undefined), problems };
}

interface Offer {
  readonly provider: Provider;
  readonly bundled: boolean;
}

const ownerOf = ({ provider }: Offer): string => `${provider.package} (${provider.root})`;

/** The one that is used of those with one kind and name: what comes with overlayadm, else none when there are several. */
function choose(offers: readonly Offer[]): Offer | undefined {
  const bundled = offers.filter((offer) => offer.bundled);
  const candidates = bundled.length > 0 ? bundled : offers;
  return candidates.length === 1 ? candidates[0] : undefined;
}

function describeDuplicate(offers: readonly Offer[], chosen: Offer | undefined): string {
  const { kind, name } = (offers[0] as Offer).provider;
  if (chosen === undefined) return `${kind} ${name}: left out, it is brought by ${offers.map(ownerOf).join(' and ')}; remove all but one`;
  const others = offers.filter((offer) => offer !== chosen).map(ownerOf);
  return `${kind} ${name} of ${others.join(' and ')}: left out, that of ${chosen.provider.package}, which comes with overlayadm, is used`;
}

/** Total over what packages say. Sorted by kind and name, so that the order does not depend on who was read first. */
export function collectProviders(given: readonly InstalledPackage[]): ProviderTable {
  const { packages, problems } = withoutImpostors(given);
  const found = packages.map(readPackage).filter((item) => item !== undefined);
  problems.push(...found.flatMap((item) => ('problem' in item ? [item.problem] : [])));
  const offers = found.flatMap((item) => ('providers' in item ? item.providers.map((provider) => ({ provider, bundled: item.bundled })) : []));
  const byName = Map.groupBy(offers, ({ provider }) => `${provider.kind} ${provider.name}`);
  const providers: Provider[] = [];
  for (const key of [...byName.keys()].sort()) {
    const same = byName.get(key) ?? [];
    const chosen = choose(same);
    if (chosen !== undefined) providers.push(chosen.provider);
    if (same.length > 1) problems.push(describeDuplicate(same, chosen));
  }
  return { providers, problems };
}
