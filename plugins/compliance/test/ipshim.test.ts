// The kit's own encapsulation against the kit.
import type { IpAddress } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { encapTests } from '../src/encap-tests.ts';
import { ipshim } from '../src/ipshim.ts';

encapTests({ describe, it, expect }, ipshim, {
  values: { listen_ip: '2001:db8::1' as IpAddress },
  headers: [
    { vnetid: 1, header: '10000000 00000100' },
    { vnetid: 0x123456, header: '10000000 12345600' },
    { vnetid: 0xff_ffff, header: '10000000 ffffff00' },
  ],
  received: [
    { packet: '1000beef 12345600', vnetid: 0x123456 },
    { packet: '107fbeef 123456ff', vnetid: 0x123456 },
    { packet: '12000000 12345600 0011223344556677', vnetid: 0x123456 },
    { packet: '12000000 12345600 00112233445566', dropped: 'too-short' },
    { packet: '00000000 12345600', dropped: 'ipshim.version' },
    { packet: '20800000 12345600', dropped: 'ipshim.version' },
    { packet: '10800000 12345600', dropped: 'ipshim.critical-option' },
    { packet: '10', dropped: 'too-short' },
  ],
});
