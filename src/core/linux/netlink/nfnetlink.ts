// Numbers of nf_tables that we use, and its building blocks (include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h). All in network order.
import { be16, concat, host } from './message.ts';

const SUBSYS_NFTABLES = 10;
const NFT_MSG = {
  newTable: 0,
  getTable: 1,
  delTable: 2,
  newChain: 3,
  getChain: 4,
  newRule: 6,
  getRule: 7,
  newSet: 9,
  getSet: 10,
  newSetElement: 12,
  getSetElement: 13,
  delSetElement: 14,
  newGeneration: 15,
  getGeneration: 16,
} as const;

export const NFT = Object.fromEntries(Object.entries(NFT_MSG).map(([name, number]) => [name, (SUBSYS_NFTABLES << 8) | number])) as Readonly<
  Record<keyof typeof NFT_MSG, number>
>;

export const NFNL_MSG_BATCH = { begin: 0x10, end: 0x11 } as const;
const NFPROTO = { unspec: 0, inet: 1 } as const;

/** The table goes when the socket that made it is closed, and nobody else may change it meanwhile. Linux 5.12. */
export const NFT_TABLE_F_OWNER = 2;
export const NFTA_TABLE = { name: 1, flags: 2 } as const;
export const NFTA_CHAIN = { table: 1, name: 3, hook: 4, policy: 5, type: 7, flags: 10 } as const;
export const NFTA_HOOK = { number: 1, priority: 2 } as const;
export const NFTA_SET = { table: 1, name: 2, flags: 3, keyType: 4, keyLength: 5, id: 10, userData: 13 } as const;
export const NFTA_ELEMENTS = { table: 1, set: 2, elements: 3 } as const;
export const NFTA_GENERATION_ID = 1;
export const NFTA_RULE = { table: 1, chain: 2, expressions: 4 } as const;
const NFTA_LIST_ELEMENT = 1;
export const NFTA_SET_ELEMENT_KEY = 1;
export const NFTA_DATA = { value: 1, verdict: 2 } as const;
export const NFTA_VERDICT_CODE = 1;

export const NF_INET_PRE_ROUTING = 0;
export const NF_INET_LOCAL_IN = 1;
/** NF_IP_PRI_RAW: before connection tracking, so that dropped packets leave no trace there. */
export const PRIORITY_RAW = -300;
/** Before the usual place of other people's filters, NF_IP_PRI_FILTER = 0, so that what they count has passed ours. */
export const PRIORITY_BEFORE_FILTER = -10;
/** NFT_CHAIN_BASE: all that a chain with a hook has. */
export const NFT_CHAIN_BASE = 1;
export const NF = { drop: 0, accept: 1 } as const;
/** What nft(8) calls `ifname` (its datatype.h, TYPE_IFNAME); for the kernel it is a number without meaning. */
export const TYPE_IFNAME = 41;
/**
 * What nft(8) reads back for itself (libnftnl/udata.h, NFTNL_UDATA_SET_KEYBYTEORDER: type, length, 1 = host order); without
 * it "nft list" shows the names as empty. The kernel only keeps it.
 */
export const keyInHostOrder = (): Uint8Array => concat([Uint8Array.of(0, 4), host.u32(1)]);
/** IFNAMSIZ: names are compared with their padding of zeros. */
export const IFNAME_BYTES = 16;

/** struct nfgenmsg. */
export const nfgenmsg = (): Uint8Array => Uint8Array.of(NFPROTO.inet, 0, 0, 0);
/** struct nfgenmsg at both ends of a batch: the subsystem instead of a family. */
export const batchHeader = (): Uint8Array => concat([Uint8Array.of(NFPROTO.unspec, 0), be16(SUBSYS_NFTABLES)]);

/** A list attribute; its members are nested too. */
export const list = (type: number, members: readonly (readonly Uint8Array[])[]): Uint8Array =>
  host.nested(type, ...members.map((member) => host.nested(NFTA_LIST_ELEMENT, ...member)));

/** One element: the name of an interface, padded with zeros. */
export const nameElement = (name: string): Uint8Array[] => keyElement(nameKey(name));

export function nameKey(name: string): Uint8Array {
  const key = new Uint8Array(IFNAME_BYTES);
  key.set(new TextEncoder().encode(name).subarray(0, IFNAME_BYTES - 1));
  return key;
}

export const keyElement = (key: Uint8Array): Uint8Array[] => [host.nested(NFTA_SET_ELEMENT_KEY, host.attribute(NFTA_DATA.value, key))];
