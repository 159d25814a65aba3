// A process that lives in a network namespace of a test and does there what the test asks: a LinuxKernel, TAPs and sockets.
import { createSocket } from 'node:dgram';
import { readSync, writeSync } from 'node:fs';
import { messageOf, OverlayError, parseIp, parseMac } from '@overlayadm/api';
import { loadPacketIo } from '@overlayadm/packetio';
import { LinuxKernel } from '../../src/core/linux/kernel.ts';
import type { VxlanSpec } from '../../src/core/linux/types.ts';
import { mtuOf } from '../../src/core/overlay/record.ts';
import { Records } from '../../src/core/overlay/records.ts';
import { StateFiles } from '../../src/core/overlay/state-files.ts';
import { Vnics } from '../../src/core/overlay/vnics.ts';
import { systemClock } from '../../src/core/util/clock.ts';
import { silentLog } from '../../src/core/util/log.ts';
import { overlayRecord } from '../helpers/overlay-record.ts';

export interface Call {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

export type Answer = { readonly id: number } & (
  | { readonly result: unknown }
  | { readonly error: { readonly code: string; readonly message: string; readonly advice: string | null } }
);

const io = loadPacketIo();
const kernel = new LinuxKernel({ io, stateId: process.argv[2] ?? 'test', tcx: process.argv[3] !== 'no-tcx' });
let datagrams: string[] = [];

const text = (value: unknown): string => String(value);
function ip(value: unknown) {
  const address = parseIp(text(value));
  if (address === undefined) throw new Error(`${text(value)} is no address`);
  return address;
}
function mac(value: unknown) {
  const address = parseMac(text(value));
  if (address === undefined) throw new Error(`${text(value)} is no MAC address`);
  return address;
}
const maybe = (value: unknown): string | undefined => (value === null || value === undefined ? undefined : text(value));

function framesOf(fd: number): string[] {
  const frames: string[] = [];
  const buffer = new Uint8Array(9000);
  try {
    for (;;) frames.push(Buffer.from(buffer.subarray(0, readSync(fd, buffer))).toString('hex'));
  } catch (error) {
    if (!messageOf(error).startsWith('EAGAIN')) throw error;
  }
  return frames;
}

/** What is sent on one TAP arrives on the other, until this process ends. */
function relay(one: number, other: number): void {
  const carry = (from: number, to: number): void => {
    for (const frame of framesOf(from)) writeSync(to, Buffer.from(frame, 'hex'));
  };
  setInterval(() => {
    carry(one, other);
    carry(other, one);
  }, 1);
}

async function listen(address: string, port: number): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (data) => datagrams.push(data.toString()));
  await new Promise<void>((resolve) => socket.bind(port, address, resolve));
}

/** One datagram; from the address `from` when it is given. */
async function send(address: string, port: number, hex: string, from: string | undefined): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  if (from !== undefined) await new Promise<void>((resolve) => socket.bind(0, from, resolve));
  await new Promise<void>((resolve, reject) =>
    socket.send(Buffer.from(hex, 'hex'), port, address, (error) => (error === null ? resolve() : reject(error))),
  );
  socket.close();
}

let vnics: Vnics | undefined;
/** VNICs over overlay0, whose link is there, with what is saved in this folder. */
async function startVnics(folder: string): Promise<void> {
  vnics?.close();
  const records = new Records(new StateFiles({ run: folder, state: folder }));
  await records.load();
  const wanted = overlayRecord('overlay0');
  if (!records.isSaved('overlay0')) await records.add(wanted, false);
  const record = records.get('up', 'overlay0') ?? wanted;
  const overlay = () => ({ facts: { ...record, mtu: mtuOf(record) } });
  const random = (count: number) => crypto.getRandomValues(new Uint8Array(count));
  vnics = new Vnics({ kernel, log: silentLog, clock: systemClock, records, randomBytes: random, overlay });
  vnics.restore(record);
}
function made(): Vnics {
  if (vnics === undefined) throw new Error('startVnics() first');
  return vnics;
}
const given = (values: unknown) => Object.entries(values as Readonly<Record<string, string>>).map(([name, value]) => ({ name, text: value }));

const methods: Readonly<Record<string, (...args: readonly unknown[]) => unknown>> = {
  networkNamespaceId: () => kernel.networkNamespaceId(),
  namespaceId: (netns) => kernel.namespaceId(text(netns)),
  statistics: (index, netns) =>
    Object.fromEntries(Object.entries(kernel.statistics(Number(index), maybe(netns))).map(([name, value]) => [name, Number(value)])),
  startVnics: (folder) => startVnics(text(folder)),
  createVnic: (name, vid, properties) =>
    made().create({ name: text(name), overlay: 'overlay0', vid: Number(vid) || undefined, properties: given(properties), temporary: false }),
  setVnic: (name, properties) => made().set(text(name), given(properties), false),
  listVnics: () => made().list(),
  link: (name, netns) => kernel.link(text(name), maybe(netns)),
  links: (netns) => kernel.links(maybe(netns)),
  refuseLinkName: (name, netns) => kernel.refuseLinkName(text(name), maybe(netns)),
  prepareOverlayLink: (name, mtu) => kernel.prepareOverlayLink(text(name), { mtu: Number(mtu), queueFrames: 2000 }),
  releaseOverlayLink: (name) => kernel.releaseOverlayLink(text(name)),
  setMtu: (name, mtu) => kernel.setMtu(text(name), Number(mtu)),
  addVnic: (name, overlay, address, mtu, netns, vid) => {
    const where = maybe(netns);
    return kernel.addVnic({
      name: text(name),
      overlay: text(overlay),
      mac: mac(address),
      mtu: Number(mtu),
      ...(where === undefined ? {} : { netns: where }),
      ...(typeof vid === 'number' ? { vid } : {}),
    });
  },
  refuseVxlan: () => kernel.refuseVxlan(),
  addVxlan: (spec) => kernel.addVxlan(spec as VxlanSpec),
  adoptVxlan: (spec) => kernel.adoptVxlan(spec as VxlanSpec),
  raiseVxlan: (name) => kernel.raiseVxlan(text(name)),
  moveVxlan: (name, listenIp) => kernel.moveVxlan(text(name), ip(listenIp)),
  releaseVxlan: (name) => kernel.releaseVxlan(text(name)),
  deleteOverlayLink: (name) => kernel.deleteOverlayLink(text(name)),
  fdbRows: (index) => kernel.fdbRows(Number(index)),
  repairFilter: () => kernel.repairFilter(),
  sweepFilter: () => kernel.sweepFilter(),
  send: (address, port, hex, from) => send(text(address), Number(port), text(hex), maybe(from)),
  vlanOf: (name, netns) => kernel.vlanOf(text(name), maybe(netns)),
  deleteVnic: (name, netns) => kernel.deleteVnic(text(name), maybe(netns)),
  linksAbove: (index) => kernel.linksAbove(Number(index)),
  hostHasAddress: (address) => kernel.hostHasAddress(ip(address)),
  addressesOf: (index, netns) => kernel.addressesOf(Number(index), maybe(netns)),
  mtuTo: (from, to) => kernel.mtuTo(ip(from), ip(to)) ?? null,
  routeMtu: (address) => kernel.routeMtu(ip(address)) ?? null,
  whoHasUdpPort: (family, address, port) => kernel.whoHasUdpPort(family === 6 ? 6 : 4, ip(address), Number(port)),
  close: () => kernel.close(),
  openTap: (name) => io.openTap({ name: text(name), exclusive: true }),
  closeFd: (fd) => io.close(Number(fd)),
  inject: (fd, hex) => writeSync(Number(fd), Buffer.from(text(hex), 'hex')),
  frames: (fd) => framesOf(Number(fd)),
  relay: (one, other) => relay(Number(one), Number(other)),
  listen: (address, port) => listen(text(address), Number(port)),
  datagrams: () => {
    const taken = datagrams;
    datagrams = [];
    return taken;
  },
};

async function answer({ id, method, args }: Call): Promise<Answer> {
  try {
    const run = methods[method];
    if (run === undefined) throw new Error(`no method ${method}`);
    return { id, result: (await run(...args)) ?? null };
  } catch (error) {
    const [code, advice] = OverlayError.is(error) ? [error.code, error.advice ?? null] : ['UNEXPECTED', null];
    return { id, error: { code, message: messageOf(error), advice } };
  }
}

process.on('message', (call: Call) => {
  void answer(call).then((reply) => process.send?.(reply));
});
process.on('disconnect', () => process.exit());
