// The sockets of a listen address: shared, refused with reasons, and all closed again whatever fails.
import { describe, expect, it } from 'vitest';
import { MuxSockets } from '../../../src/core/datapath/mux-sockets.ts';
import { SEND_SOCKETS, SOURCE_PORTS } from '../../../src/core/util/limits.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { ipOf } from '../../helpers/frames.ts';
import { counting, emptyStore, FakeDevices, FakeEngine, specOf, systemError } from './fake-devices.ts';

function rig(random: () => number = Math.random) {
  const io = new FakeDevices();
  const engine = new FakeEngine();
  const reported: unknown[] = [];
  const owners: (string | undefined)[] = [];
  const kernel = { whoHasUdpPort: async () => owners[0] };
  const report = (error: unknown): void => void reported.push(error);
  const muxes = new MuxSockets({ io, engine, kernel, store: emptyStore, clock: new FakeClock(), random, report, nextId: counting() });
  return { io, engine, reported, owners, muxes };
}

describe('the first overlay on an address and port', () => {
  it('opens one socket to receive and SEND_SOCKETS to send, from distinct ports of the dynamic range', async () => {
    const { io, engine, muxes } = rig();
    const mux = await muxes.join(specOf('overlay0', 1));
    expect(io.open.size).toBe(1 + SEND_SOCKETS);
    expect(io.udp[0]).toMatchObject({ port: 4789, sendOnly: false });
    const sources = io.udp.slice(1);
    expect(sources.every(({ sendOnly, port }) => sendOnly && port >= SOURCE_PORTS.min && port <= SOURCE_PORTS.max)).toBe(true);
    expect(engine.messages).toEqual([{ op: 'openMux', spec: expect.objectContaining({ mux: mux.id, encap: 'vxlan', socket: mux.sockets[0] }) }]);
    expect(muxes.isOwnSocket(ipOf('192.0.2.1'), 4789)).toBe(true);
    expect(muxes.isOwnSocket(ipOf('192.0.2.1'), 4790)).toBe(false);
  });

  it('stays within the dynamic range whatever is drawn, and draws again when a port is taken', async () => {
    const draws = [0, 0.999_999_999, 0.5, 0.5];
    const { io, muxes } = rig(() => draws.shift() ?? Math.random());
    const taken = new Set<number>();
    io.refuse = (what, options) => {
      if (what !== 'source' || !('port' in options)) return undefined;
      if (taken.has(options.port)) return systemError('EADDRINUSE');
      taken.add(options.port);
      return undefined;
    };
    await muxes.join(specOf('overlay0', 1));
    const ports = io.udp.filter(({ sendOnly }) => sendOnly).map(({ port }) => port);
    expect(ports.slice(0, 2)).toEqual([SOURCE_PORTS.min, SOURCE_PORTS.max]);
    expect(ports[2]).toBe(ports[3]);
    expect(new Set(ports).size).toBe(SEND_SOCKETS);
  });

  it.each([
    ['EADDRNOTAVAIL', 'ADDRESS_NOT_HERE', 'ip address', 'listen'],
    ['EADDRINUSE', 'PORT_IN_USE', 'vxlan/listen_port', 'listen'],
    ['EADDRNOTAVAIL', 'ADDRESS_NOT_HERE', 'ip address', 'source'],
  ])('that meets %s is refused with %s and what to do, and leaves no socket', async (errno, code, advice, refusing) => {
    const { io, engine, owners, muxes } = rig();
    owners.push('process dnsmasq (pid 812)');
    io.refuse = (what) => (what === refusing ? systemError(errno) : undefined);
    const refused = { code, advice: expect.stringContaining(advice), cause: expect.objectContaining({ code: errno }) };
    await expect(muxes.join(specOf('overlay0', 1))).rejects.toMatchObject(refused);
    expect(io.open.size).toBe(0);
    expect(engine.messages).toEqual([]);
    expect(muxes.isOwnSocket(ipOf('192.0.2.1'), 4789)).toBe(false);
  });

  it('names who has the port: a process, or our own overlays', async () => {
    const { io, owners, muxes } = rig();
    owners.push('process dnsmasq (pid 812)');
    io.refuse = (what) => (what === 'listen' ? systemError('EADDRINUSE') : undefined);
    await expect(muxes.join(specOf('overlay0', 1))).rejects.toThrow('in use by process dnsmasq (pid 812)');
    owners[0] = undefined;
    await expect(muxes.join(specOf('overlay0', 1))).rejects.toThrow(/in use$/);
    io.refuse = () => undefined;
    await muxes.join(specOf('overlay7', 1));
    io.refuse = (what) => (what === 'listen' ? systemError('EADDRINUSE') : undefined);
    const everywhere = { socket: { listenIp: ipOf('0.0.0.0'), listenPort: 4789 } };
    await expect(muxes.join(specOf('overlay8', 2, everywhere))).rejects.toThrow('in use by overlay7');
  });

  it('says so when it is the overlay itself that has the port, on all addresses or on one of them', async () => {
    const { io, muxes } = rig();
    await muxes.join(specOf('overlay7', 1));
    io.refuse = (what) => (what === 'listen' ? systemError('EADDRINUSE') : undefined);
    const everywhere = { socket: { listenIp: ipOf('0.0.0.0'), listenPort: 4789 } };
    const refused = { code: 'PORT_IN_USE', message: expect.stringContaining('overlay7 itself'), advice: expect.stringContaining('create it again') };
    await expect(muxes.join(specOf('overlay7', 1, everywhere))).rejects.toMatchObject(refused);
  });

  it.each([1, 2, SEND_SOCKETS])('closes what it has opened when the source socket %i cannot be had', async (nth) => {
    const { io, engine, muxes } = rig();
    let sources = 0;
    io.refuse = (what) => (what === 'source' && ++sources >= nth ? systemError('EADDRINUSE') : undefined);
    await expect(muxes.join(specOf('overlay0', 1))).rejects.toMatchObject({ code: 'PORT_IN_USE', advice: expect.stringContaining('UDP ports') });
    expect(io.open.size).toBe(0);
    expect(engine.messages).toEqual([]);
  });
});

describe('a further overlay on it', () => {
  it('shares the sockets, and the last one that leaves closes them, after the engine', async () => {
    const { io, engine, muxes } = rig();
    const mux = await muxes.join(specOf('overlay0', 1));
    expect(await muxes.join(specOf('overlay1', 2))).toBe(mux);
    expect(io.open.size).toBe(1 + SEND_SOCKETS);
    await muxes.leave(mux, 1);
    expect(engine.ops).toEqual(['openMux']);
    let openAtClose = 0;
    const call = engine.call.bind(engine);
    engine.call = (message) => {
      openAtClose = io.open.size;
      return call(message);
    };
    await muxes.leave(mux, 2);
    expect(engine.ops).toEqual(['openMux', 'closeMux']);
    expect(openAtClose).toBe(1 + SEND_SOCKETS);
    expect(io.open.size).toBe(0);
    expect((await muxes.join(specOf('overlay2', 1))).id).not.toBe(mux.id);
  });

  it('is refused with a vnetid that is in use there, naming the overlay; elsewhere it is not', async () => {
    const { muxes } = rig();
    await muxes.join(specOf('overlay0', 1));
    const refused = { code: 'VNETID_IN_USE', details: { vnetid: 1, overlay: 'overlay0' }, advice: expect.stringContaining('delete overlay0') };
    await expect(muxes.join(specOf('overlay1', 1))).rejects.toMatchObject(refused);
    await muxes.join(specOf('overlay1', 1, { socket: { listenIp: ipOf('192.0.2.1'), listenPort: 4790 } }));
  });

  it('is refused with another encapsulation, naming those that are there', async () => {
    const { muxes } = rig();
    await muxes.join(specOf('overlay0', 1));
    const refused = {
      code: 'PORT_IN_USE',
      message: expect.stringContaining('carries vxlan for overlay0'),
      advice: expect.stringContaining('geneve/listen_port'),
    };
    await expect(muxes.join(specOf('overlay1', 2, { encap: 'geneve' }))).rejects.toMatchObject(refused);
  });
});

describe('closing', () => {
  it('closes every socket although the engine is gone and one of them fails; each failure is reported', async () => {
    const { io, engine, reported, muxes } = rig();
    const mux = await muxes.join(specOf('overlay0', 1));
    engine.gone = new Error('the packet engine has ended');
    io.failingClose.add(mux.sockets[3] ?? 0);
    await muxes.leave(mux, 1);
    expect(io.open.size).toBe(0);
    expect(reported.length).toBe(2);
  });
});
