// VNICs: interfaces over overlays, made directly in the network namespace that they are for.
import { isGroupMac, type LocalAddress, type MacAddress, macFromBytes, messageOf, OverlayError, parseMac } from '@overlayadm/api';
import type { KernelNetwork } from '../linux/types.ts';
import type { PropertyText } from '../property/arguments.ts';
import type { Log } from '../util/log.ts';
import { checkLinkName } from './names.ts';
import type { Overlay } from './overlay.ts';

export interface Vnic {
  readonly name: string;
  readonly overlay: string;
  readonly mac: MacAddress;
  readonly mtu: number;
  readonly netns: string | undefined;
  /** Of its link, unique within its network namespace. */
  readonly index: number;
}

export interface VnicRequest {
  readonly name: string;
  readonly overlay: string;
  readonly mac: string | undefined;
  readonly properties: readonly PropertyText[];
}

export interface VnicParts {
  readonly kernel: Pick<KernelNetwork, 'addVnic' | 'addressesOf' | 'deleteVnic' | 'link' | 'refuseLinkName'>;
  readonly log: Log;
  /** `count` random bytes, for MAC addresses. */
  randomBytes(count: number): Uint8Array;
  /** @throws OverlayError OVERLAY_NOT_FOUND */
  overlay(name: string): Overlay;
}

export class Vnics {
  readonly #parts: VnicParts;
  readonly #vnics = new Map<string, Vnic>();

  constructor(parts: VnicParts) {
    this.#parts = parts;
  }

  /** @throws OverlayError LINK_NAME, OVERLAY_NOT_FOUND, VNIC_EXISTS, LINK_EXISTS, MAC_INVALID, MAC_IN_USE, PROPERTY_UNKNOWN, NETNS_NOT_FOUND. */
  create(request: VnicRequest): Vnic {
    const { name } = request;
    checkLinkName(name);
    const overlay = this.#parts.overlay(request.overlay);
    const netns = netnsOf(request.properties);
    if (this.#alive(name) !== undefined) {
      throw new OverlayError('VNIC_EXISTS', `${name}: object already exists`, {
        details: { vnic: name },
        advice: 'Choose another name; "overlayadm show-vnic" shows the ones there are.',
      });
    }
    const reason = this.#parts.kernel.refuseLinkName(name, netns);
    if (reason !== undefined) throw new OverlayError('LINK_EXISTS', `${name} ${reason}`, { details: { vnic: name }, advice: 'Choose another name.' });
    const mac = request.mac === undefined ? this.#drawMac(overlay) : this.#readMac(request.mac, overlay);
    const { name: over, mtu } = overlay.facts;
    const { index } = this.#parts.kernel.addVnic({ name, overlay: over, mac, mtu, ...(netns === undefined ? {} : { netns }) });
    const vnic: Vnic = { name, overlay: over, mac, mtu, netns, index };
    this.#vnics.set(name, vnic);
    return vnic;
  }

  /** One that went with its namespace, or that somebody deleted, is only forgotten. @throws OverlayError VNIC_NOT_FOUND. */
  delete(name: string): void {
    const vnic = this.#alive(name);
    if (vnic === undefined) {
      throw new OverlayError('VNIC_NOT_FOUND', `failed to delete ${name}: object not found`, {
        details: { vnic: name },
        advice: '"overlayadm show-vnic" shows the ones there are.',
      });
    }
    this.#parts.kernel.deleteVnic(name, vnic.netns);
    this.#vnics.delete(name);
  }

  /** Those that still exist, by name. */
  list(overlay?: string): readonly Vnic[] {
    const alive = [...this.#vnics.keys()].flatMap((name) => this.#alive(name) ?? []);
    return alive.filter((vnic) => overlay === undefined || vnic.overlay === overlay).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** What those over this overlay are called from inside it. @throws what list() and KernelNetwork.addressesOf() throw. */
  addresses(overlay: string): readonly LocalAddress[] {
    return this.list(overlay).map(({ mac, index, netns }) => ({ mac, ips: this.#parts.kernel.addressesOf(index, netns) }));
  }

  /** Was a VNIC of this overlay made with this address? As it was made: the kernel is not asked, so this costs nothing. */
  has(overlay: string, mac: MacAddress): boolean {
    return [...this.#vnics.values()].some((vnic) => vnic.overlay === overlay && vnic.mac === mac);
  }

  /** The overlay is gone, and in the kernel its VNICs with it. */
  forget(overlay: string): void {
    for (const vnic of this.#vnics.values()) if (vnic.overlay === overlay) this.#vnics.delete(vnic.name);
  }

  #alive(name: string): Vnic | undefined {
    const vnic = this.#vnics.get(name);
    if (vnic === undefined) return undefined;
    const link = this.#look(vnic);
    // The kernel's word on what can be changed by anybody with "ip link".
    if (link?.ours && link.kind === 'macvlan') return { ...vnic, mtu: link.mtu, mac: link.mac ?? vnic.mac, index: link.index };
    this.#parts.log.info({ overlay: vnic.overlay, vnic: name }, 'vnic is gone');
    this.#vnics.delete(name);
    return undefined;
  }

  #look(vnic: Vnic): ReturnType<KernelNetwork['link']> {
    try {
      return this.#parts.kernel.link(vnic.name, vnic.netns);
    } catch (error) {
      if (OverlayError.is(error) && error.code === 'NETNS_NOT_FOUND') return undefined;
      throw new OverlayError('VNIC_UNREADABLE', `${vnic.name}: cannot be looked at (${messageOf(error)})`, {
        details: { vnic: vnic.name },
        cause: error,
      });
    }
  }

  #isUsed(mac: MacAddress, overlay: Overlay): Vnic | undefined {
    return this.list(overlay.facts.name).find((vnic) => vnic.mac === mac);
  }

  /** Locally administered (the second lowest bit of the first octet) and for one receiver (the lowest clear). */
  #drawMac(overlay: Overlay): MacAddress {
    for (;;) {
      const bytes = this.#parts.randomBytes(6);
      bytes[0] = ((bytes[0] as number) & 0xfc) | 0x02;
      const mac = macFromBytes(bytes);
      if (this.#isUsed(mac, overlay) === undefined) return mac;
    }
  }

  #readMac(text: string, overlay: Overlay): MacAddress {
    const mac = parseMac(text);
    if (mac === undefined || isGroupMac(mac) || mac === '00:00:00:00:00:00') {
      const why = mac === undefined ? 'invalid mac address' : 'not the address of one interface';
      throw new OverlayError('MAC_INVALID', `${why}: ${JSON.stringify(text.slice(0, 64))}`, {
        details: { mac: text },
        advice: 'Give six octets like 2:8:20:0:0:1; the first octet has to be even.',
      });
    }
    const user = this.#isUsed(mac, overlay);
    if (user === undefined) return mac;
    throw new OverlayError('MAC_IN_USE', `mac address ${mac} is in use by ${user.name}`, {
      details: { mac, vnic: user.name },
      advice: 'Choose another address, or leave out -m to have one drawn.',
    });
  }
}

function netnsOf(properties: readonly PropertyText[]): string | undefined {
  let netns: string | undefined;
  for (const { name, text } of properties) {
    if (name !== 'netns' || netns !== undefined) {
      const repeated = name === 'netns';
      throw new OverlayError(repeated ? 'PROPERTY_REPEATED' : 'PROPERTY_UNKNOWN', `${name}: ${repeated ? 'given twice' : 'no such property'}`, {
        details: { property: name },
        advice: 'A VNIC has one property: netns=<name of a network namespace>.',
      });
    }
    netns = text;
  }
  return netns;
}
