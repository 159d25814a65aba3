// The files plugin against the kit.
import type { IpAddress, MacAddress } from '@overlayadm/api';
import { ipshim, lookupTests } from '@overlayadm/compliance';
import { describe, expect, it } from 'vitest';
import files from '../src/index.ts';
import { EXAMPLE } from './example.ts';

const mac = (text: string): MacAddress => text as MacAddress;
const ip = (text: string): IpAddress => text as IpAddress;

lookupTests(
  { describe, it, expect },
  {
    plugin: files,
    values: { config: '/etc/overlayadm/map.json' },
    files: { config: EXAMPLE },
    usualPort: 4789,
    serves: [['ip', 'port'], ipshim.needs, ['port']],
    answers: {
      mode: 'dynamic',
      found: [
        { to: mac('de:ad:be:ef:00:00'), destination: { ip: ip('10.88.88.69'), port: 4789 } },
        { to: mac('de:ad:be:ef:00:01'), destination: { ip: ip('10.88.88.70'), port: 4790 } },
        { to: mac('de:ad:be:ef:00:02'), destination: { ip: ip('2001:db8::71'), port: 4789 } },
      ],
      dropped: [mac('de:ad:be:ef:00:03'), mac('ff:ff:ff:ff:ff:ff'), mac('33:33:00:00:00:01')],
      resolved: [
        { ip: ip('10.55.55.2'), mac: mac('de:ad:be:ef:00:00') },
        { ip: ip('fe80::3'), mac: mac('de:ad:be:ef:00:00') },
        { ip: ip('10.55.55.3'), mac: mac('de:ad:be:ef:00:01') },
        { ip: ip('10.55.55.9'), mac: undefined },
        { ip: ip('fe80::9'), mac: undefined },
        // Underlay addresses are nobody's overlay address.
        { ip: ip('10.88.88.69'), mac: undefined },
      ],
      dhcp: [
        { client: mac('de:ad:be:ef:00:01'), server: mac('de:ad:be:ef:00:00') },
        { client: mac('de:ad:be:ef:00:00'), server: undefined },
        { client: mac('de:ad:be:ef:00:09'), server: undefined },
      ],
    },
    badStarts: [
      { name: 'no JSON', files: { config: 'root:x:0:0:root:/root:/bin/sh\n' } },
      { name: 'an empty file', files: { config: '' } },
      { name: 'a destination without an address', files: { config: '{"2:0:0:0:0:1": {}}' } },
    ],
  },
);
