// Unit files of systemd as their settings: enough of systemd.syntax(7) for ours.
import { readFileSync } from 'node:fs';

/** Values by `Section.Key`, in the order they stand there. @throws Error for a line that is neither comment, section nor setting. */
export function readUnit(path: string): ReadonlyMap<string, readonly string[]> {
  const settings = new Map<string, string[]>();
  let section = '';
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const [, header] = /^\[(\w[\w-]*)\]$/.exec(line) ?? [];
    const [, key, value] = /^([A-Za-z][\w-]*)=(.*)$/.exec(line) ?? [];
    if (header !== undefined) section = header;
    else if (key !== undefined && section !== '') settings.set(`${section}.${key}`, [...(settings.get(`${section}.${key}`) ?? []), value ?? '']);
    else if (line !== '' && !line.startsWith('#')) throw new Error(`${path}: not a line of a unit file: ${line}`);
  }
  return settings;
}

/** The capabilities that the service has, as setpriv(1) calls them: `net_admin`. */
export const unitCapabilities = (path: string): readonly string[] =>
  (readUnit(path).get('Service.CapabilityBoundingSet') ?? []).flatMap((list) =>
    list.split(' ').map((name) => name.replace(/^CAP_/, '').toLowerCase()),
  );
