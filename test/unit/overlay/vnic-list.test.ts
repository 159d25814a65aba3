// Many VNICs: they are looked at in slices, between which others have their turn; whether there is one is known without looking.
import { describe, expect, it } from 'vitest';
import { LIST_SLICE_MS } from '../../../src/core/util/limits.ts';
import { VnicRig } from '../../helpers/vnic-rig.ts';

const COUNT = 12;

/** Every look at a link takes its time. */
async function slowRig(lookMs: number): Promise<VnicRig> {
  const rig = await VnicRig.start();
  for (let i = 0; i < COUNT; i++) await rig.create(`vnic${i}`);
  let now = 0;
  rig.clock.now = () => now;
  const link = rig.kernel.link.bind(rig.kernel);
  rig.kernel.link = (name, netns) => {
    now += lookMs;
    return link(name, netns);
  };
  return rig;
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `vnic${i}`);

describe('the list of all VNICs', () => {
  it('is in order, and as list() has it', async () => {
    const rig = await slowRig(0);
    const rows = await rig.vnics.listAll();
    expect(rows.map(({ name }) => name)).toEqual(names(COUNT));
    expect(rows).toEqual(rig.vnics.list());
  });

  it('lets others have their turn, and leaves out what they have deleted', async () => {
    const rig = await slowRig(LIST_SLICE_MS);
    const listing = rig.vnics.listAll();
    await rig.vnics.delete(`vnic${COUNT - 1}`, false);
    expect((await listing).map(({ name }) => name)).toEqual(names(COUNT - 1));
  });
});

describe('whether there is a VNIC', () => {
  it('is known without a look at the kernel, also of one that somebody deleted', async () => {
    const rig = await slowRig(0);
    rig.kernel.linksIn(undefined).delete('vnic1');
    rig.kernel.link = () => {
      throw new Error('the kernel was asked');
    };
    expect(['vnic0', 'vnic1', 'vnic99', 'overlay0'].map((name) => rig.vnics.isKnown(name))).toEqual([true, true, false, false]);
  });

  it('also of an overlay that is not there', async () => {
    const rig = await slowRig(0);
    rig.vnics.forget('overlay0');
    expect(rig.vnics.isKnown('vnic0')).toBe(true);
  });
});
