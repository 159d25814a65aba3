// The one counter of /proc/net/snmp that is of use here, of whatever text there is.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fragFails, parseFragFails } from '../../../src/core/linux/snmp.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

/** As Linux 6.18 shows it, shortened behind ICMP. */
const SHOWN = `Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates OutTransmits
Ip: 1 64 12345 0 0 0 0 0 12345 23456 0 1 0 0 0 0 2 37 4 23456
Icmp: InMsgs InErrors InCsumErrors FragFails
Icmp: 99 98 97 96
`;

it('is found by its name, in the group of IP', () => {
  expect(parseFragFails(SHOWN)).toBe(37);
  expect(parseFragFails('Ip: FragFails Other\nIp: 5 6\n')).toBe(5);
  expect(parseFragFails('Icmp: FragFails\nIcmp: 96\nIp: A FragFails\nIp: 1 2')).toBe(2);
});

it.each([
  ['no text', ''],
  ['no such counter', 'Ip: Forwarding\nIp: 1\n'],
  ['no values', 'Ip: Forwarding FragFails\n'],
  ['too few values', 'Ip: Forwarding FragFails\nIp: 1\n'],
  ['no number', 'Ip: FragFails\nIp: many\n'],
  ['no whole number', 'Ip: FragFails\nIp: 1.5\n'],
  ['another group only', 'Icmp: FragFails\nIcmp: 96\n'],
])('is 0 when there is %s', (_what, text) => {
  expect(parseFragFails(text)).toBe(0);
});

it('is a number whatever the text', () => {
  const line = fc.array(fc.constantFrom('Ip:', 'FragFails', '5', '-1', '', 'x'), { maxLength: 5 }).map((words) => words.join(' '));
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(line, { maxLength: 5 }).map((lines) => lines.join('\n')),
      ),
      (text) => Number.isSafeInteger(parseFragFails(text)),
    ),
  );
});

it('is that of this network namespace, and 0 when it cannot be read', () => {
  const path = join(temporaryFolder(), 'snmp');
  expect(fragFails(path)).toBe(0);
  writeFileSync(path, SHOWN);
  expect(fragFails(path)).toBe(37);
  expect(fragFails()).toBeGreaterThanOrEqual(0);
});
