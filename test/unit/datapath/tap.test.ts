// The tap driver: opens an overlay in kernel and engine or changes nothing, and takes everything back.
import { describe, expect, it } from 'vitest';
import { PortClaims } from '../../../src/core/datapath/port-claims.ts';
import { TapDriver } from '../../../src/core/datapath/tap.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { ipOf } from '../../helpers/frames.ts';
import { SimKernel } from '../../helpers/sim-host.ts';
import { counting, emptyStore, FakeDevices, FakeEngine, specOf, systemError } from './fake-devices.ts';

function rig() {
  const io = new FakeDevices();
  const engine = new FakeEngine();
  const kernel = new SimKernel(['192.0.2.1']);
  const reported: unknown[] = [];
  const report = (error: unknown): void => void reported.push(error);
  const driver = new TapDriver({
    io,
    engine,
    kernel,
    store: emptyStore,
    clock: new FakeClock(),
    random: Math.random,
    report,
    nextId: counting(),
    claims: new PortClaims(),
  });
  return { io, engine, kernel, reported, driver };
}

describe('the tap driver', () => {
  it('opens and closes in an order in which nobody uses what is gone', async () => {
    const { io, engine, kernel, driver } = rig();
    const port = await driver.open(specOf('overlay0', 1));
    expect(engine.ops).toEqual(['openMux', 'openPort']);
    expect(kernel.known.get('overlay0')?.index).toBe(port.linkIndex);
    await port.close();
    expect(engine.ops).toEqual(['openMux', 'openPort', 'closePort', 'closeMux']);
    expect(io.open.size).toBe(0);
    expect([...kernel.known.keys()]).toEqual([]);
  });

  it.each([
    ['ENOENT', 'TUN_MISSING', 'modprobe tun'],
    ['ENODEV', 'TUN_MISSING', 'modprobe tun'],
    ['EBUSY', 'LINK_EXISTS', 'another name'],
    ['EPERM', 'NOT_PERMITTED', 'CAP_NET_ADMIN'],
    ['EACCES', 'NOT_PERMITTED', '/dev/net/tun'],
  ])('says what %s means and what to do, and leaves nothing', async (errno, code, advice) => {
    const { io, engine, driver } = rig();
    io.refuse = (what) => (what === 'tap' ? systemError(errno, 'TUNSETIFF') : undefined);
    await expect(driver.open(specOf('overlay0', 1))).rejects.toMatchObject({ code, advice: expect.stringContaining(advice) });
    expect(io.open.size).toBe(0);
    expect(engine.ops).toEqual(['openMux', 'closeMux']);
  });

  it('leaves nothing when the kernel refuses the link, and others on the socket go on', async () => {
    const { io, engine, kernel, driver } = rig();
    await driver.open(specOf('overlay0', 1));
    const before = io.open.size;
    kernel.failing = 'prepareOverlayLink';
    await expect(driver.open(specOf('overlay1', 2))).rejects.toThrow('the kernel says no');
    expect(io.open.size).toBe(before);
    expect(engine.ops).toEqual(['openMux', 'openPort']);
    kernel.failing = undefined;
    await driver.open(specOf('overlay1', 2));
  });

  it.each([
    ['openMux', ['openMux']],
    ['openPort', ['openMux', 'openPort', 'closeMux']],
  ] as const)('leaves nothing when the engine refuses %s, and can be tried again', async (refusing, ops) => {
    const { io, engine, kernel, driver } = rig();
    engine.refusing = refusing;
    await expect(driver.open(specOf('overlay0', 1))).rejects.toThrow('is refused');
    expect(engine.ops).toEqual(ops);
    expect(io.open.size).toBe(0);
    expect([...kernel.known.keys()]).toEqual([]);
    expect(driver.isOwnSocket(ipOf('192.0.2.1'), 4789)).toBe(false);
    engine.refusing = undefined;
    await driver.open(specOf('overlay0', 1));
  });

  it('takes the isolation back although closing the device fails', async () => {
    const { io, kernel, reported, driver } = rig();
    const port = await driver.open(specOf('overlay0', 1));
    for (const [fd, name] of io.open) if (name === 'tap overlay0') io.failingClose.add(fd);
    await port.close();
    expect([...kernel.known.keys()]).toEqual([]);
    expect(io.open.size).toBe(0);
    expect(reported.length).toBe(1);
  });

  it('closes everything although the engine is gone', async () => {
    const { io, engine, kernel, reported, driver } = rig();
    const port = await driver.open(specOf('overlay0', 1));
    engine.gone = new Error('the packet engine has ended');
    await port.close();
    expect(io.open.size).toBe(0);
    expect([...kernel.known.keys()]).toEqual([]);
    expect(reported.length).toBe(2);
  });

  it('opens and closes one after the other: the socket of one that closes is free for the next', async () => {
    const { io, engine, driver } = rig();
    const first = await driver.open(specOf('overlay0', 1));
    const [, second] = await Promise.all([first.close(), driver.open(specOf('overlay1', 1))]);
    expect(engine.ops).toEqual(['openMux', 'openPort', 'closePort', 'closeMux', 'openMux', 'openPort']);
    await second.close();
    expect(io.open.size).toBe(0);
  });

  it('passes on what the plugin can and where the point is, and nothing it does not have', async () => {
    const { engine, driver } = rig();
    await driver.open(specOf('overlay0', 1));
    const point = { family: 4, ip: Uint8Array.of(192, 0, 2, 9), port: 4789 } as const;
    await driver.open(specOf('overlay1', 2, { point, resolves: false }));
    const specs = engine.messages.flatMap((message) => (message.op === 'openPort' ? [message.spec] : []));
    expect(Object.keys(specs[0] ?? {})).not.toContain('point');
    expect(specs[1]).toMatchObject({ point, resolves: false, vnetid: 2, mtu: 1400 });
  });

  it('refuses what does not travel over UDP, and knows its own sockets', async () => {
    const { driver } = rig();
    const format = { ...specOf('overlay0', 1).format, carrier: { over: 'ip', protocol: 47 } } as const;
    expect(driver.refuse({ ...specOf('overlay0', 1), format })).toContain('47');
    expect(driver.refuse(specOf('overlay0', 1))).toBeUndefined();
    await driver.open(specOf('overlay0', 1));
    expect(driver.isOwnSocket(ipOf('192.0.2.1'), 4789)).toBe(true);
  });
});
