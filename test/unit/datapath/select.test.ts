// Which driver serves an overlay, and why not the others.
import { describe, expect, it } from 'vitest';
import type { DatapathDriver, DriverName } from '../../../src/core/datapath/driver.ts';
import { selectDriver } from '../../../src/core/datapath/select.ts';
import { specOf } from './fake-devices.ts';

const driver = (name: DriverName, reason?: string): DatapathDriver => ({
  name,
  refuse: () => reason,
  open: () => Promise.reject(new Error('not in this test')),
  isOwnSocket: () => false,
  ready: async () => undefined,
  discard: () => undefined,
});
const spec = specOf('overlay0', 1);

describe('selectDriver', () => {
  it('takes the first that does not refuse, and says why the others were passed over', () => {
    const tap = driver('tap');
    expect(selectDriver([driver('kernel', 'no such kind'), tap], 'auto', spec)).toEqual({ driver: tap, passedOver: ['kernel: no such kind'] });
    expect(selectDriver([tap, driver('kernel')], 'auto', spec)).toEqual({ driver: tap, passedOver: [] });
  });

  it('takes the one that is asked for, also when another comes first', () => {
    const kernel = driver('kernel');
    expect(selectDriver([driver('tap'), kernel], 'kernel', spec)).toEqual({ driver: kernel, passedOver: [] });
  });

  it.each([
    ['all refuse', [driver('kernel', 'too old'), driver('tap', 'not UDP')], 'auto', ['kernel: too old', 'tap: not UDP']],
    ['the one that is asked for refuses', [driver('tap'), driver('kernel', 'too old')], 'kernel', ['kernel: too old']],
    ['it does not exist', [driver('tap')], 'kernel', []],
  ] as const)('refuses with every reason when %s', (_what, drivers, wanted, reasons) => {
    expect(() => selectDriver(drivers, wanted, spec)).toThrow(
      expect.objectContaining({ code: 'DATAPATH_REFUSED', details: { datapath: wanted, reasons }, advice: expect.stringContaining('auto, ') }),
    );
  });
});
