// VNICs of one host without the rest of overlayd: records in memory, a simulated kernel and a clock.
import { OverlayError } from '@overlayadm/api';
import { type OverlayRecord, withVnic } from '../../src/core/overlay/record.ts';
import { type Loaded, type Place, type RecordFiles, Records } from '../../src/core/overlay/records.ts';
import { type VnicParts, type VnicRequest, Vnics } from '../../src/core/overlay/vnics.ts';
import { NAMESPACE_POLL_MS } from '../../src/core/util/limits.ts';
import { silentLog } from '../../src/core/util/log.ts';
import { FakeClock } from './fake-clock.ts';
import { overlayRecord } from './overlay-record.ts';
import { SimKernel } from './sim-host.ts';

/** Records that are kept in memory. */
export class MemoryFiles implements RecordFiles {
  readonly records: Readonly<Record<Place, Map<string, OverlayRecord>>> = { up: new Map(), saved: new Map() };
  /** Writes fail. */
  isFull = false;

  async load(place: Place): Promise<Loaded> {
    return { records: [...this.records[place].values()], unreadable: [] };
  }
  async write(place: Place, record: OverlayRecord): Promise<void> {
    if (this.isFull) throw new Error('ENOSPC: no space left on device');
    this.records[place].set(record.name, record);
  }
  async remove(place: Place, name: string): Promise<void> {
    this.records[place].delete(name);
  }
  vnics(place: Place, overlay = 'overlay0') {
    return this.records[place].get(overlay)?.vnics ?? [];
  }
}

export class VnicRig {
  readonly kernel = new SimKernel(['192.0.2.1']);
  readonly clock = new FakeClock();
  readonly files = new MemoryFiles();
  readonly log: string[] = [];
  /** MTU of every overlay, bytes. */
  mtu = 1400;
  carriesVlanTag = true;
  records = new Records(this.files);
  vnics = this.#make();
  readonly #draws: (readonly number[])[] = [];
  #drawn = 0;

  /** Two saved overlays, and a temporary one. */
  static async start(): Promise<VnicRig> {
    const rig = new VnicRig();
    rig.kernel.addNamespace('blue');
    for (const name of ['overlay0', 'overlay1', 'temp0']) {
      rig.kernel.prepareOverlayLink(name, { mtu: rig.mtu });
      await rig.records.add(overlayRecord(name), name === 'temp0');
    }
    return rig;
  }

  /** What randomness gives next. */
  draw(...bytes: readonly (readonly number[])[]): void {
    this.#draws.push(...bytes);
  }

  #make(): Vnics {
    const note = (fields: object, message: string): void => void this.log.push(`${message} ${JSON.stringify(fields)}`);
    const randomBytes: VnicParts['randomBytes'] = (count) =>
      Uint8Array.from(this.#draws.shift() ?? [0, 0, 0, 0, 0, ++this.#drawn]).subarray(0, count);
    const overlay: VnicParts['overlay'] = (name) => {
      if (this.records.get('up', name) === undefined) throw new OverlayError('OVERLAY_NOT_FOUND', `${name}: object not found`);
      return { facts: { name, mtu: this.mtu, encap: { name: 'vxlan', carriesVlanTag: this.carriesVlanTag } } };
    };
    const { kernel, clock, records } = this;
    return new Vnics({ kernel, clock, records, randomBytes, overlay, log: { ...silentLog, info: note, warn: note } });
  }

  create(name: string, options: Partial<VnicRequest> & { readonly netns?: string } = {}) {
    const { netns, ...rest } = options;
    const properties = netns === undefined ? [] : [{ name: 'netns', text: netns }];
    return this.vnics.create({ name, overlay: 'overlay0', properties, temporary: false, ...rest });
  }

  /** overlayd ends, and another one comes up; links stay. */
  async restart(): Promise<void> {
    this.vnics.close();
    this.records = new Records(this.files);
    await this.records.load();
    this.vnics = this.#make();
    for (const name of this.records.names('up')) this.vnics.restore(this.records.get('up', name) as OverlayRecord);
  }

  /** What up-overlay does. */
  async up(overlay: string): Promise<void> {
    const now = this.records.get('up', overlay) as OverlayRecord;
    const all = this.files
      .vnics('saved', overlay)
      .reduce((record, vnic) => (this.vnics.list().some(({ name }) => name === vnic.name) ? record : withVnic(record, vnic)), now);
    await this.records.putUp(all);
    this.vnics.restore(all);
  }

  poll(): Promise<void> {
    return this.clock.advance(NAMESPACE_POLL_MS);
  }

  link(name: string, netns?: string) {
    return this.kernel.linksIn(netns).get(name);
  }

  /** Somebody changes a link with "ip link". */
  alter(name: string, changes: object, netns?: string): void {
    const links = this.kernel.linksIn(netns);
    const link = links.get(name);
    if (link === undefined) throw new Error(`${name} is not there`);
    links.set(name, { ...link, ...changes });
  }

  state(name: string): string | undefined {
    return this.vnics.list().find((vnic) => vnic.name === name)?.state;
  }
}
