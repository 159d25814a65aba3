// VNICs: which names and addresses they may have, and what is known of them when others have had their hands on them.
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import type { LinkInfo, VnicSpec } from '../../../src/core/linux/types.ts';
import type { Overlay } from '../../../src/core/overlay/overlay.ts';
import { type VnicParts, Vnics } from '../../../src/core/overlay/vnics.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { ipOf, macOf } from '../../helpers/frames.ts';
import { SimKernel } from '../../helpers/sim-host.ts';

/** Network namespaces other than our own, each with links of its own. */
class Kernel extends SimKernel {
  readonly namespaces = new Map<string, SimKernel>([['blue', new SimKernel([])]]);
  /** What looking at a link throws. */
  failure: Error | undefined;

  #in(netns: string | undefined): SimKernel | undefined {
    if (netns === undefined) return undefined;
    const found = this.namespaces.get(netns);
    if (found === undefined) throw new OverlayError('NETNS_NOT_FOUND', `${netns}: there is no network namespace of this name`);
    return found;
  }

  override link = (name: string, netns?: string): LinkInfo | undefined => {
    if (this.failure !== undefined) throw this.failure;
    return (this.#in(netns)?.known ?? this.known).get(name);
  };
  override refuseLinkName = (name: string, netns?: string): string | undefined =>
    (this.#in(netns)?.known ?? this.known).has(name) ? 'exists already (tun)' : undefined;
  override addVnic(spec: VnicSpec): LinkInfo {
    const { netns, ...here } = spec;
    return netns === undefined ? super.addVnic(spec) : (this.#in(netns) ?? this).addVnic(here);
  }
  override deleteVnic = (name: string, netns?: string): void => void (this.#in(netns)?.known ?? this.known).delete(name);
}

function rig(draws: readonly (readonly number[])[] = []) {
  const kernel = new Kernel(['192.0.2.1']);
  const left = [...draws];
  let last = 0;
  const overlay = (name: string): Overlay => {
    if (!name.startsWith('overlay')) throw new OverlayError('OVERLAY_NOT_FOUND', `${name}: object not found`);
    return { facts: { name, mtu: 1400 } } as unknown as Overlay;
  };
  const randomBytes: VnicParts['randomBytes'] = (count) => Uint8Array.from(left.shift() ?? [0, 0, 0, 0, 0, ++last]).subarray(0, count);
  for (const name of ['overlay0', 'overlay1']) kernel.prepareOverlayLink(name, { mtu: 1400 });
  const vnics = new Vnics({ kernel, log: silentLog, randomBytes, overlay });
  const create = (name: string, options: { readonly overlay?: string; readonly mac?: string; readonly netns?: string } = {}) =>
    vnics.create({
      name,
      overlay: options.overlay ?? 'overlay0',
      mac: options.mac,
      properties: options.netns === undefined ? [] : [{ name: 'netns', text: options.netns }],
    });
  return { kernel, vnics, create };
}

const refused = (code: string) => expect.objectContaining({ code, advice: expect.stringMatching(/./) });
const namesOf = (vnics: Vnics, overlay?: string): string[] => vnics.list(overlay).map(({ name }) => name);

describe('a VNIC', () => {
  it('has the mtu of its overlay, the address that is asked for, and stands in the namespace that is named', () => {
    const { kernel, vnics, create } = rig();
    const made = create('vnic0', { mac: '2:8:20:0:0:1', netns: 'blue' });
    expect(made).toMatchObject({ name: 'vnic0', overlay: 'overlay0', mac: '02:08:20:00:00:01', mtu: 1400, netns: 'blue' });
    expect(kernel.known.has('vnic0')).toBe(false);
    expect(kernel.namespaces.get('blue')?.known.has('vnic0')).toBe(true);
    expect(vnics.list()).toEqual([made]);
  });

  it('has an address drawn that is locally administered, of one receiver, and of nobody else on its overlay', () => {
    const taken = [0x02, 1, 2, 3, 4, 5];
    const { create } = rig([taken, [0xff, 1, 2, 3, 4, 5], taken, [0x02, 9, 9, 9, 9, 9]]);
    expect(create('vnic0').mac).toBe('02:01:02:03:04:05');
    expect(create('vnic1').mac).toBe('fe:01:02:03:04:05');
    expect(create('vnic2').mac).toBe('02:09:09:09:09:09');
  });

  it('may have the address of one on another overlay', () => {
    const { create } = rig();
    create('vnic0', { mac: '2:8:20:0:0:1' });
    expect(create('vnic1', { mac: '2:8:20:0:0:1', overlay: 'overlay1' }).mac).toBe('02:08:20:00:00:01');
  });

  it.each([
    ['a bad name', 'vnic', {}, 'LINK_NAME'],
    ['a name that a VNIC has, wherever it is', 'vnic0', {}, 'VNIC_EXISTS'],
    ['a name that a link has', 'overlay1', {}, 'LINK_EXISTS'],
    ['an address that is in use', 'vnic1', { mac: '02:08:20:00:00:01' }, 'MAC_IN_USE'],
    ['the address of a group', 'vnic1', { mac: '1:0:5e:0:0:1' }, 'MAC_INVALID'],
    ['no address', 'vnic1', { mac: '0:0:0:0:0:0' }, 'MAC_INVALID'],
    ['nonsense as address', 'vnic1', { mac: 'x'.repeat(1000) }, 'MAC_INVALID'],
  ])('is refused with %s, and nothing is made', (_what, name, options, code) => {
    const { kernel, vnics, create } = rig();
    create('vnic0', { mac: '2:8:20:0:0:1', netns: 'blue' });
    const before = [...kernel.known.keys()];
    expect(() => create(name, options)).toThrow(refused(code));
    expect([...kernel.known.keys()]).toEqual(before);
    expect(namesOf(vnics)).toEqual(['vnic0']);
  });

  it.each([
    ['given twice', ['netns', 'netns'], 'PROPERTY_REPEATED'],
    ['unknown', ['zone'], 'PROPERTY_UNKNOWN'],
    ['unknown, behind a good one', ['netns', 'zone'], 'PROPERTY_UNKNOWN'],
  ])('is refused with a property that is %s', (_what, names, code) => {
    const { vnics } = rig();
    const properties = names.map((name) => ({ name, text: 'blue' }));
    expect(() => vnics.create({ name: 'vnic0', overlay: 'overlay0', mac: undefined, properties })).toThrow(refused(code));
    expect(vnics.list()).toEqual([]);
  });

  it('that the kernel refuses is not listed, and can be tried again', () => {
    const { kernel, vnics, create } = rig();
    kernel.failing = 'addVnic';
    expect(() => create('vnic0')).toThrow('the kernel says no');
    expect(vnics.list()).toEqual([]);
    kernel.failing = undefined;
    create('vnic0');
  });
});

describe('what others do to a VNIC', () => {
  it.each(['mac', 'mtu'] as const)('is shown as it is now: its %s', (what) => {
    const { kernel, vnics, create } = rig();
    create('vnic0', { mac: '2:8:20:0:0:1' });
    const changed = what === 'mac' ? { mac: macOf('2:8:20:0:0:2') } : { mtu: 1300 };
    kernel.known.set('vnic0', { ...(kernel.known.get('vnic0') as LinkInfo), ...changed });
    expect(vnics.list()).toEqual([expect.objectContaining(changed)]);
  });

  it('counts for addresses in use: the new one is taken, the old one is free', () => {
    const { kernel, create } = rig();
    create('vnic0', { mac: '2:8:20:0:0:1' });
    kernel.known.set('vnic0', { ...(kernel.known.get('vnic0') as LinkInfo), mac: macOf('2:8:20:0:0:2') });
    expect(() => create('vnic1', { mac: '2:8:20:0:0:2' })).toThrow(refused('MAC_IN_USE'));
    create('vnic1', { mac: '2:8:20:0:0:1' });
  });

  it.each([
    ['it is deleted', (kernel: Kernel) => void kernel.namespaces.get('blue')?.known.delete('vnic0')],
    ['its namespace is deleted', (kernel: Kernel) => void kernel.namespaces.delete('blue')],
    [
      'another link has its name',
      (kernel: Kernel) => {
        const known = kernel.namespaces.get('blue')?.known;
        known?.set('vnic0', { ...(known.get('vnic0') as LinkInfo), ours: false });
      },
    ],
  ])('is noticed: when %s it is forgotten, and its name is free', (_what, happens) => {
    const { kernel, vnics, create } = rig();
    create('vnic0', { netns: 'blue' });
    happens(kernel);
    expect(vnics.list()).toEqual([]);
    expect(() => vnics.delete('vnic0')).toThrow(refused('VNIC_NOT_FOUND'));
    expect(create('vnic0')).toMatchObject({ netns: undefined });
  });

  it('is not made up: one that cannot be looked at is an error, and is not forgotten', () => {
    const { kernel, vnics, create } = rig();
    create('vnic0');
    kernel.failure = new Error('no buffers');
    expect(() => vnics.list()).toThrow(expect.objectContaining({ code: 'VNIC_UNREADABLE', message: expect.stringContaining('no buffers') }));
    kernel.failure = undefined;
    expect(namesOf(vnics)).toEqual(['vnic0']);
  });
});

describe('the list of VNICs', () => {
  it('is in the order of their names, whole or of one overlay', () => {
    const { vnics, create } = rig();
    create('vnic2');
    create('vnic0', { overlay: 'overlay1' });
    create('vnic1', { netns: 'blue' });
    expect(namesOf(vnics)).toEqual(['vnic0', 'vnic1', 'vnic2']);
    expect(namesOf(vnics, 'overlay0')).toEqual(['vnic1', 'vnic2']);
    expect(namesOf(vnics, 'overlay9')).toEqual([]);
  });

  it('is without those that were deleted, and those whose overlay is gone', () => {
    const { kernel, vnics, create } = rig();
    create('vnic0');
    create('vnic1', { overlay: 'overlay1' });
    create('vnic2');
    vnics.delete('vnic0');
    expect(kernel.known.has('vnic0')).toBe(false);
    expect(() => vnics.delete('vnic0')).toThrow(refused('VNIC_NOT_FOUND'));
    vnics.forget('overlay1');
    expect(namesOf(vnics)).toEqual(['vnic2']);
  });

  it('gives plugins the address of each with its IP addresses', () => {
    const { kernel, vnics, create } = rig();
    const { index, mac } = create('vnic0');
    create('vnic1', { overlay: 'overlay1' });
    kernel.ips.set(index, [ipOf('10.0.0.1'), ipOf('fd00::1')]);
    expect(vnics.addresses('overlay0')).toEqual([{ mac, ips: ['10.0.0.1', 'fd00::1'] }]);
  });
});
