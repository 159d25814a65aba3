// A process that lives in a network namespace of a test and does there what the test asks: a LinuxKernel, TAPs and sockets.
import { createSocket } from 'node:dgram';
import { readSync, writeSync } from 'node:fs';
import { messageOf, OverlayError, parseIp, parseMac } from '@overlayadm/api';
import { loadPacketIo } from '@overlayadm/packetio';
import { LinuxKernel } from '../../src/core/linux/kernel.ts';

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
const kernel = new LinuxKernel({ io, stateId: process.argv[2] ?? 'test' });
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

async function listen(address: string, port: number): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (data) => datagrams.push(data.toString()));
  await new Promise<void>((resolve) => socket.bind(port, address, resolve));
}

const methods: Readonly<Record<string, (...args: readonly unknown[]) => unknown>> = {
  networkNamespaceId: () => kernel.networkNamespaceId(),
  link: (name, netns) => kernel.link(text(name), maybe(netns)),
  links: (netns) => kernel.links(maybe(netns)),
  refuseLinkName: (name, netns) => kernel.refuseLinkName(text(name), maybe(netns)),
  prepareOverlayLink: (name, mtu) => kernel.prepareOverlayLink(text(name), { mtu: Number(mtu), queueFrames: 2000 }),
  releaseOverlayLink: (name) => kernel.releaseOverlayLink(text(name)),
  setMtu: (name, mtu) => kernel.setMtu(text(name), Number(mtu)),
  addVnic: (name, overlay, address, mtu, netns) => {
    const where = maybe(netns);
    return kernel.addVnic({
      name: text(name),
      overlay: text(overlay),
      mac: mac(address),
      mtu: Number(mtu),
      ...(where === undefined ? {} : { netns: where }),
    });
  },
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
