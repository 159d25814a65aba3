// A TAP that somebody gave another name while its overlayd was away: it is not replaced, for its VNICs stand on it.
import { expect, it } from 'vitest';
import { TapDevices, type TapDevicesParts } from '../../../src/core/datapath/tap-devices.ts';
import type { LinkInfo } from '../../../src/core/linux/types.ts';

const FD = 7;

function rig(markedAs: string) {
  const renamed = { name: 'foo0', kind: 'tun', ours: true, mark: { stateId: 'x', name: markedAs } } as LinkInfo;
  const links = new Map([['foo0', renamed]]);
  const done: string[] = [];
  const held = new Map([['tap.overlay0', FD]]);
  const parts: TapDevicesParts = {
    io: {
      openTap: ({ name }) => {
        done.push(`open ${name}`);
        return 8;
      },
      adoptTap: () => [...links.keys()][0] ?? '',
      close: (fd) => void done.push(`close ${fd}`),
    },
    kernel: { link: (name) => links.get(name) },
    store: {
      take: (name) => {
        const fd = held.get(name);
        held.delete(name);
        return fd;
      },
      keep: () => undefined,
      forget: (name) => void done.push(`forget ${name}`),
    },
  };
  return { done, links, renamed, devices: new TapDevices(parts) };
}

it('is refused with the name that it has, kept, and taken when it has its own name again', () => {
  const { done, links, renamed, devices } = rig('overlay0');
  for (let tries = 0; tries < 2; tries++) {
    expect(() => devices.open('overlay0', true)).toThrow(
      expect.objectContaining({ code: 'LINK_NOT_FOUND', message: expect.stringContaining('foo0') }),
    );
  }
  links.clear();
  links.set('overlay0', { ...renamed, name: 'overlay0' });
  expect(devices.open('overlay0', true)).toEqual({ fd: FD, inherited: true });
  expect(done).toEqual([]);
});

it('is let go of when the device is that of another overlay', () => {
  const { done, devices } = rig('overlay9');
  expect(devices.open('overlay0', true)).toEqual({ fd: 8, inherited: false });
  expect(done).toEqual(['forget tap.overlay0', `close ${FD}`, 'open overlay0']);
});
