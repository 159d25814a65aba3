// Counters of IP of this network namespace, from /proc/net/snmp (RFC 1213 names).
import { readFileSync } from 'node:fs';

/** Total: 0 for text without the counter. Each group is two lines, names and values in the same places. */
export function parseFragFails(text: string): number {
  const [names = '', values = ''] = text.split('\n').filter((line) => line.startsWith('Ip: '));
  const place = names.split(' ').indexOf('FragFails');
  const value = Number(values.split(' ')[place] ?? 0);
  return place > 0 && Number.isSafeInteger(value) ? value : 0;
}

/** 0 when it cannot be read. */
export function fragFails(path = '/proc/self/net/snmp'): number {
  try {
    return parseFragFails(readFileSync(path, 'utf8'));
  } catch {
    return 0;
  }
}
