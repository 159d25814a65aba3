// Netlink datagrams: read as messages, links and addresses, and as the answer to a request, which has to end.
import fc from 'fast-check';
import { readAddress } from '../../src/core/linux/addresses.ts';
import { readLink } from '../../src/core/linux/links.ts';
import { cString, host } from '../../src/core/linux/netlink/message.ts';
import { NetlinkSocket } from '../../src/core/linux/netlink/socket.ts';
import { OverlayError } from '../../src/core/rpc/errors.ts';
import { FakeNetlink } from '../unit/linux/fake-netlink.ts';
import { type Door, must } from './door.ts';
import { mutate } from './mutate.ts';

const NEW_LINK = 16;
const NEW_ADDRESS = 20;
const attribute = host.attribute;
const linkInfo = (kind: string, ...data: Uint8Array[]) => host.nested(18, attribute(1, cString(kind)), host.nested(2, ...data));
const link = (...attributes: Uint8Array[]): Uint8Array =>
  host.message(NEW_LINK, 2, 1, Uint8Array.of(0, 0, 1, 0, 9, 0, 0, 0, 67, 16, 1, 0, 0, 0, 0, 0), attribute(3, cString('overlay0')), ...attributes);
const address = (family: number, bytes: Uint8Array): Uint8Array =>
  host.message(
    NEW_ADDRESS,
    2,
    1,
    Uint8Array.of(family, 24, 0, 0, 2, 0, 0, 0),
    attribute(1, bytes),
    attribute(2, bytes),
    attribute(8, host.u32(0x80)),
  );

const LINKS = [
  link(
    attribute(1, Uint8Array.of(2, 8, 32, 0, 0, 1)),
    attribute(4, host.u32(1400)),
    attribute(20, cString('overlayadm:abc:overlay0')),
    linkInfo('tun'),
  ),
  link(linkInfo('vxlan', attribute(1, host.u32(100)), attribute(15, Uint8Array.of(0x12, 0xb5)), attribute(2, Uint8Array.of(192, 0, 2, 1)))),
];
const SEEDS = [
  ...LINKS,
  address(2, Uint8Array.of(192, 0, 2, 1)),
  address(10, Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)),
  new Uint8Array(Buffer.concat([...LINKS, host.message(3, 2, 1, host.u32(0))])),
  host.message(2, 0, 1, host.u32(0), new Uint8Array(16)),
  host.message(2, 0, 1, host.u32(-17 >>> 0), new Uint8Array(16)),
  host.message(3, 0x12, 1, host.u32(0)),
];
const WORDS = [host.u32(16), host.u32(1), host.u16(4), host.u16(0), host.u16(0xffff), attribute(18, host.u32(0)), cString('vxlan')];

/** Anything may be in the answer; what comes out is a value or an error of ours. */
function ask(input: Uint8Array): void {
  const half = input.length >> 1;
  const socket = new NetlinkSocket(new FakeNetlink(() => [input, new Uint8Array(0), input.subarray(half)]), { protocol: 0 });
  const purpose = { subject: 'overlay0', action: 'be read' };
  const questions = [
    () => socket.request(purpose, 18, 0),
    () => socket.dump(purpose, 18),
    () => socket.batch(purpose, [{ type: 16, flags: 4, body: [new Uint8Array(4)] }]),
  ];
  for (const question of questions) {
    try {
      question();
    } catch (error) {
      must(OverlayError.is(error), () => `${error}`);
    }
  }
}

function take(input: Uint8Array): void {
  for (const message of host.readMessages(input)) {
    must(message.body.byteOffset + message.body.length <= input.byteOffset + input.length, () => 'a message reaches out of the datagram');
    readLink(message, 'abc');
    readAddress(message);
  }
  ask(input);
}

export const netlinkDoor: Door = {
  name: 'netlink',
  batch: 256,
  short: 2_500,
  open: () => ({ take, finish: () => {} }),
  mutant: (random) => mutate(SEEDS, WORDS, random),
  arbitrary: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(...SEEDS)),
};
