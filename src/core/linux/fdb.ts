// The forwarding table of a vxlan link by rtnetlink: all its rows, in one dump.
import { type IpAddress, ipFromBytes, macFromBytes } from '@overlayadm/api';
import { host, type NetlinkMessage, readBe16 } from './netlink/message.ts';
import { AF, ifinfomsg, NDA, NDMSG_BYTES, NTF_EXT_LEARNED, RTM } from './netlink/rtnetlink.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import type { FdbRow } from './types.ts';

/** Byte of ndm_flags in struct ndmsg (neighbour.h): family, padding of 3, index, state of 2, flags, type. */
const FLAGS_AT = 10;

function addressOf(bytes: Uint8Array | undefined): IpAddress | undefined {
  return bytes?.length === 4 || bytes?.length === 16 ? ipFromBytes(bytes) : undefined;
}

/**
 * Reads an RTM_NEWNEIGH message; undefined when it is none of the link with this index, or a row of the bridge that the link is a port of.
 * @param ownPort UDP port of the link: the kernel says the port of a destination only where it is another one (vxlan_core.c, vxlan_fdb_info()).
 */
export function readFdbRow({ type, body }: NetlinkMessage, index: number, ownPort: number): FdbRow | undefined {
  if (type !== RTM.newNeighbour || body.length < NDMSG_BYTES || body[0] !== AF.bridge || host.readI32(body, 4) !== index) return undefined;
  const attributes = host.readAttributes(body, NDMSG_BYTES);
  const mac = attributes.get(NDA.mac);
  if (mac?.length !== 6 || attributes.has(NDA.master)) return undefined;
  return {
    mac: macFromBytes(mac),
    ip: addressOf(attributes.get(NDA.destination)),
    port: readBe16(attributes.get(NDA.port)) ?? ownPort,
    ours: ((body[FLAGS_AT] ?? 0) & NTF_EXT_LEARNED) !== 0,
  };
}

/** With struct ifinfomsg, which for this question names the link whose rows are wanted (net/core/rtnetlink.c, valid_fdb_dump_legacy()). */
export const encodeFdbDump = (index: number): Uint8Array => ifinfomsg({ family: AF.bridge, index });

export function listFdb(socket: NetlinkSocket, index: number, ownPort: number): FdbRow[] {
  const messages = socket.dump({ subject: `link ${index}`, action: 'be asked for its forwarding table' }, RTM.getNeighbour, encodeFdbDump(index));
  return messages.map((message) => readFdbRow(message, index, ownPort)).filter((row) => row !== undefined);
}
