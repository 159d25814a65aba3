// An overlay: the device, from its creation to its end, and what happens between the engine and its lookup plugin.
//
//                                   OVERLAYS: THE BIG THEORY STATEMENT
//
// An overlay is a virtual Ethernet whose frames travel inside datagrams of an existing network, the underlay. Two
// questions decide everything else, and each has its own kind of plugin:
//
//   How is a frame put on the wire?   An *encap* plugin (vxlan) answers once, when the overlay is made, with data: a
//                                     header format, and the socket to receive on. No code of it runs per frame.
//   Where is a frame sent?            A *lookup* plugin (direct, files) answers once per unknown target, asynchronously.
//
// WORDS
//
//   vnetid       identifier of the overlay on the wire (VNI in VXLAN).       target        overlay MAC address.
//   underlay     the network that carries.                                   destination   underlay address: IP and port.
//   mux          an underlay socket, shared by the overlays that listen on   miss          a frame whose target is not
//                the same address and port, told apart by vnetid.                          in the target cache.
//   VNIC         an interface over an overlay, a macvlan, perhaps in a       point mode    every frame goes to one
//                network namespace of its own.                                             destination; no cache, no proxy.
//
// WHO RUNS WHERE
//
//   overlayadm (src/commands, core/cli)    parses, calls overlayd over a Unix socket (core/rpc), prints. Starts overlayd.
//   overlayd, main thread (core/daemon)    overlays, properties, health, proxies, kernel links. Never sees a frame that
//                                          has a known target. Nothing in it blocks.
//   overlayd, engine thread (core/engine)  every frame that the kernel does not forward by itself. TypeScript decides, the addon
//                                          (native/) moves bytes, a batch at a time. Its JavaScript event loop never turns.
//   plugin hosts (core/varpd)              one process without rights per plugin package in use. They may crash, hang and
//                                          lie; core/lookup is overlayd's side of them.
//
//      VNIC      VNIC                                                            plugin host: files, yours, ...
//       |         |                  overlayd                                             ^   | answers
//   ----+---------+----       +------------------------------------------------+   asks   |   v
//      overlay0       <=====> | engine <--- lookups / answers ---> main thread | <====================>
//   ------------------        +--------^---------------------------------------+
//     | a kernel link sends            | what the engine sends            ^ starts, holds descriptors
//     | what it has a row for      underlay                            keeper, or systemd
//
// TWO DATA PATHS, ONE ENGINE (core/datapath). overlay0 is a TAP, and every frame passes the engine; or a vxlan link of the kernel,
// which forwards known targets alone, at its own speed and also when all of us are dead. To the engine both are a port: same queue,
// same cache, same proxies. A port of the underlay cannot be had by a kernel link and a socket of ours at once, so the first overlay
// on (address family, port) decides for the others there (port-claims.ts).
//
// A FRAME OUT. A VNIC sends; what no VNIC of this host has as its address comes out of the TAP, or is *punted* by the kernel link,
// which has no row for it: its fallback row leads to a socket of the engine on loopback. The engine looks up the
// destination MAC. Known: the compiled header is copied before the frame and it leaves, in one system call with the rest
// of its batch, from one of SEND_SOCKETS source ports, chosen by the hash of the inner flow. Unknown: the frame waits and
// its target becomes pending; all misses of a turn go to the main thread as one message, from there to the plugin host
// as one line. The answer sends everything that waited, in order, and is kept. Refused: what waited is dropped and
// counted, and for NEGATIVE_TTL_MS the target is not asked for again.
//
// A KERNEL LINK'S ROWS mirror the cache (engine/row-mirror.ts), never the other way round. A row is put in when its target is known
// and what waited is sent, at a moment when nothing is punted: the punt socket is read until it is empty, and a few rows go in right
// after that (engine/kernel-rows.ts), so that what the kernel then sends overtakes nothing. A row that goes or changes by somebody's
// hand is put back; one that appears by somebody's hand is theirs. Rows carry a mark (NTF_EXT_LEARNED): those that outlived overlayd
// are targets again without being written, and are asked for once more like all that is known from before.
//
// A FRAME IN. A kernel link takes what is for its vnetid, behind a filter that drops what is not for its listen address. Else the mux takes a batch of datagrams, checks each against the format, finds the overlay by vnetid and writes
// the inner frame to its TAP, from where macvlan gives it to the VNIC. Nothing is learned from what comes in.
//
// A TARGET'S LIFE (engine/target-state.ts has the table, which is tested state by event)
//
//   invalid --frame: queue, ask--> pending --found: send queue--> forward --frame: send-->
//                                  pending --refused: drop queue--> refused --NEGATIVE_TTL_MS--> invalid
//   any --set--> forward | drop    forward | drop --invalidate, flush, evict--> invalid    pending --invalidate: ask again--> pending
//
//   There is room for MAX_QUEUED_BYTES_PER_TARGET, MAX_QUEUED_BYTES_PER_OVERLAY, MAX_LOOKUPS_PER_OVERLAY; beyond them
//   frames are dropped under a name of their own. Guests can invent addresses, so there is room for MAX_TARGETS_PER_OVERLAY
//   entries, and the ones not used lately make room for others.
//
// GROUP FRAMES never make an entry: frames under one group address are different questions. An ARP request, a neighbour
// solicitation and a DHCP broadcast are questions with keys of their own, (kind, VLAN, what is asked for). Equal questions
// are asked once, a slow one delays no other, and each asker gets an answer of its own: made here, from what the plugin
// resolves, and injected as if the target had sent it. What a DHCP server broadcasts to a client that asked for that goes to
// the client alone, as any unicast frame. Other group frames go to lookup() when the plugin wants them, else
// they are dropped and counted.
//
// CREATION is a transaction (create.ts): name, plugins, vnetid, properties, underlay, lookup instance, data path, state. Each step
// that refuses says so with what to do, and what was done before is undone. A change of link properties (change.ts) is one too:
// what can refuse comes first, a lookup instance with the new values is made beside the old one, and the swap comes last.
//
// WHAT IS REMEMBERED (record.ts, records.ts). An overlay has a record as it is now, in the run directory, and unless it is
// temporary another one as it is saved, in the state directory. A record holds everything that forwarding needs, the header
// format too: no plugin has a word in it. Beside it lie the targets, written down a moment after they change (target-snapshots.ts).
//
//      state directory                run directory                     the keeper, or systemd           the kernel
//      saved overlays and VNICs       overlays that are up, targets     TAP and mux sockets, the locks   TAP, macvlan
//           after a reboot                after a restart                   while overlayd is away            always
//
// So an overlayd that is started again (restore.ts) takes its descriptors back, fills the cache before it reads the first frame,
// and forwards; frames have waited in device and socket meanwhile. Lookup instances come when their plugins can, and what was
// known from before is then asked for once more, slowly (verify.ts). What cannot be had is kept, shown as degraded with the
// reason, and tried again. After a reboot "overlayadm up-overlay" does the same from what is saved. A kernel link and its filter need
// nobody who holds them: they go on, and an overlayd that comes takes them as they are.
//
// DEGRADED IS NOT DOWN. Trouble of a plugin, a wrong answer, a path that is too narrow: the overlay is degraded, with the
// reason, and goes on forwarding what it knows. Links and cache are never touched by it (illumos: overlay_fm.c). Nor are
// sockets when the listen address goes: they stay bound, and the kernel lets them work again when it is back.
//
// WHEN SOMETHING DIES. A plugin host: its requests are kept and asked again, known targets are forwarded meanwhile. The
// engine: overlayd exits, it never runs without. overlayd: whoever holds its descriptors starts it again; links, addresses,
// routes and neighbours stay as they are. overlayd and the holder: kernel links go on with what they know; TAPs stay, without
// carrier, until it is started again. The nftables table of TAPs is owned by overlayd and goes with it, and so does whatever could
// send a frame into them; that of kernel links stays with the links, and is put back when somebody flushes it.
//
// THE OVERLAY IS NO INTERFACE OF THE HOST. A tenant's ARP, broadcasts and router advertisements must not reach the host
// whose overlay0 they pass: no ARP, no IPv6, and a table of nftables that drops every packet whose input device is an
// overlay (linux/). VNICs are not touched by it. Every link we make carries our mark; one without is never touched.
//
// NOT DONE, AND WHY. No learning from traffic: anybody who can send a datagram could move a tenant's address. No
// flooding: what the lookup plugin does not know does not exist. No fragments (RFC 7348 §4.3): what does not fit is
// dropped, counted and reported with its size.
import { type Destination, type IpAddress, ipFromBytes, type MacAddress, macToDisplay, OverlayError } from '@overlayadm/api';
import type { DatapathPort, PortTrouble } from '../datapath/driver.ts';
import type { CacheEntry, EngineLink, ForeignRow, FromEngine, WireDestination } from '../engine/messages.ts';
import type { InstanceEvents, LookupInstance } from '../lookup/types.ts';
import type { Clock } from '../util/clock.ts';
import { MAX_PAGE_ROWS, TOO_BIG_QUIET_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { keyToMac, macToKey } from '../util/mac-key.ts';
import { type CheckedDestination, parseDestination, showDestination } from './destination.ts';
import { Health } from './health.ts';
import { InstanceDoor } from './instance-door.ts';
import { readInterfaceMac } from './interface-mac.ts';
import { type FrameDoor, type Miss, OverlayLookups } from './lookups.ts';
import { tooBigReason } from './mtu.ts';
import type { OverlayFacts } from './record.ts';
import { noTargets, targetNotFound, wrongTarget } from './target-errors.ts';
import type { Watcher } from './verify.ts';

export interface OverlayParts {
  readonly engine: EngineLink;
  readonly frames: FrameDoor & { announcement(ip: IpAddress, mac: MacAddress, to?: MacAddress): Uint8Array };
  readonly clock: Clock;
  readonly log: Log;
  /** For changes of health, which are few by themselves and must not be lost in a flood of other messages. */
  readonly healthLog: Log;
  check(destination: Destination, point: boolean): CheckedDestination;
  /** Bytes that a packet to there may have, as far as anybody knows. */
  mtuTo(ip: IpAddress): number | undefined;
  /** Is this the address of a VNIC of this host over this overlay? */
  isVnic(mac: MacAddress): boolean;
}

export interface Target {
  readonly mac: MacAddress;
  /** `ip:port`, `[ipv6]:port` or `drop`. */
  readonly destination: string;
}

interface Open {
  readonly port: DatapathPort;
  readonly lookups: OverlayLookups;
  instance: LookupInstance;
  door: InstanceDoor;
}

/** What only a data path finds, and another one begins without. */
const PORT_TROUBLES: readonly PortTrouble[] = ['device', 'filter', 'rows', 'foreign-rows', 'too-big'];

export class Overlay {
  readonly health: Health;
  readonly #parts: OverlayParts;
  #facts: OverlayFacts;
  #open: Open | undefined;
  #wrongDestinations = 0;
  /** An instance that was restored and has come up. */
  #isUp = false;
  #watcher: Watcher | undefined;

  constructor(facts: OverlayFacts, parts: OverlayParts) {
    this.#facts = facts;
    this.#parts = parts;
    const { clock, healthLog } = parts;
    this.health = new Health(clock, ({ status, causes, reason }) => {
      const fields = { overlay: facts.name, status, causes, ...(reason === undefined ? {} : { reason }) };
      if (status === 'DEGRADED') healthLog.warn(fields, 'health');
      else healthLog.info(fields, 'health');
    });
  }

  get facts(): OverlayFacts {
    return this.#facts;
  }

  /** What the overlay is has changed: the change itself was made by whoever calls. */
  learn(facts: OverlayFacts): void {
    this.#facts = facts;
  }

  /** For an instance that is about to be made; it speaks to the overlay once it is given to activate() or replaceInstance(). */
  newDoor(): InstanceDoor {
    return new InstanceDoor(this.#events);
  }

  readonly #events: InstanceEvents = {
    answered: (answers) => this.#open?.lookups.answered(answers),
    setTarget: (mac, destination) => this.#whenOpen((port) => this.#setTarget(port.id, mac, destination)),
    invalidateTarget: (mac) => this.#whenOpen((port) => this.#parts.engine.send({ op: 'cacheInvalidate', port: port.id, mac: macToKey(mac) })),
    announce: (ip, mac, toMacs) => this.#whenOpen((port) => this.#announce(port.id, ip, mac, toMacs)),
    degraded: (reason) => this.health.degrade('plugin', reason),
    restored: () => this.health.restore('plugin'),
    hostDown: (reason) => {
      this.health.degrade('plugin-host', reason);
      this.#isUp = false;
      this.#watcher?.down();
    },
    hostUp: () => {
      this.health.restore('plugin-host');
      this.#isUp = true;
      this.#adoptPoint();
      this.#watcher?.up();
    },
    outdated: () => this.#whenOpen((port) => this.#parts.engine.send({ op: 'cacheOutdated', port: port.id })),
  };

  /** New code of a plugin may send every frame somewhere else than the old did. */
  #adoptPoint(): void {
    const point = this.#open?.instance.point;
    const before = this.#facts.lookup.point;
    if (point === undefined || (point.ip === before?.ip && point.port === before?.port)) return;
    const checked = this.#parts.check(point, true);
    if (!checked.ok) return this.#wrongDestination(this.#facts.name, checked.reason);
    this.#facts = { ...this.#facts, lookup: { ...this.#facts.lookup, point } };
    this.#open?.port.setPoint(checked.to);
  }

  activate(port: DatapathPort, instance: LookupInstance, door: InstanceDoor): void {
    this.#open = { port, instance, lookups: this.#lookupsOver(port, instance), door };
    this.#hear(port);
    door.open();
  }

  /** Another data path carries it from now on, with the same targets. What was asked through the old one was aborted when that was closed. */
  replacePort(port: DatapathPort): void {
    const open = this.#open;
    if (open === undefined) throw new OverlayError('OVERLAY_NOT_FOUND', `${this.#facts.name}: is being deleted`);
    open.lookups.giveBack();
    this.#open = { ...open, port, lookups: this.#lookupsOver(port, open.instance) };
    for (const cause of PORT_TROUBLES) this.health.restore(cause);
    this.#hear(port);
  }

  #hear(port: DatapathPort): void {
    port.watch({
      trouble: (cause, reason) => this.health.degrade(cause, reason),
      over: (cause) => this.health.restore(cause),
      tooBig: (to, packetBytes) => this.tooBig({ to, packetBytes }),
    });
  }

  #lookupsOver(port: DatapathPort, instance: LookupInstance): OverlayLookups {
    const { engine, frames, log, check, isVnic } = this.#parts;
    const wrongDestination = (target: string, reason: string): void => this.#wrongDestination(target, reason);
    return new OverlayLookups({
      port: port.id,
      engine,
      instance,
      frames,
      log,
      isVnic,
      check: (to) => check(to, false),
      unanswered: (mac) => this.#watcher?.unanswered(mac),
      wrongDestination,
    });
  }

  /** The new instance takes over, with the questions that are out; what the old one has answered may not be true for it. */
  replaceInstance(instance: LookupInstance, door: InstanceDoor): void {
    const open = this.#open;
    if (open === undefined) throw new OverlayError('OVERLAY_NOT_FOUND', `${this.#facts.name}: is being deleted`);
    const old = open.instance;
    open.door.shut();
    open.instance = instance;
    open.door = door;
    old.close();
    // What the old one had reported was about itself.
    this.health.restore('plugin');
    this.health.restore('plugin-host');
    this.#events.outdated();
    open.lookups.replaceInstance(instance);
    door.open();
  }

  get port(): DatapathPort | undefined {
    return this.#open?.port;
  }

  get instance(): LookupInstance | undefined {
    return this.#open?.instance;
  }

  /** For the verification of targets that were known before overlayd was started again. */
  get lookups(): OverlayLookups | undefined {
    return this.#open?.lookups;
  }

  /** For the verification of what was known before overlayd was started again. */
  watch(watcher: Watcher): void {
    this.#watcher = watcher;
    if (this.#isUp) watcher.up();
  }

  missed(misses: readonly Miss[]): void {
    this.#open?.lookups.missed(misses);
  }

  aborted(ids: readonly number[]): void {
    this.#open?.lookups.aborted(ids);
  }

  tooBig({ to, packetBytes }: Pick<Extract<FromEngine, { readonly op: 'tooBig' }>, 'to' | 'packetBytes'>): void {
    const reason = tooBigReason(this.facts, this.#show(to), packetBytes, this.#parts.mtuTo(ipFromBytes(to.ip)));
    this.health.degrade('too-big', reason, TOO_BIG_QUIET_MS);
  }

  tapFailed(errno: number): void {
    this.health.degrade('device', `${this.facts.name} was deleted by somebody (errno ${errno})`);
  }

  /** Rows that somebody else has put into the table of its link. */
  foreignRows(rows: readonly ForeignRow[]): void {
    if (rows.length === 0) return this.health.restore('foreign-rows');
    const shown = rows.map(({ mac, to }) => `${macToDisplay(keyToMac(mac))} to ${to === undefined ? 'nowhere' : this.#show(to)}`);
    this.health.degrade('foreign-rows', `rows of others in the table of ${this.#facts.name}: ${shown.join(', ')}`);
  }

  /** 0: the kernel takes them again. */
  rowsRefused(errno: number): void {
    if (errno === 0) this.health.restore('rows');
    else this.health.degrade('rows', `the kernel does not take rows for targets of ${this.#facts.name} (errno ${errno})`);
  }

  manyRows(rows: number): void {
    const reason = 'before Linux 6.16 a kernel link looks through lists of rows for every frame, and is slow with more than 4,000';
    this.#parts.healthLog.warn({ overlay: this.#facts.name, rows, reason }, 'many rows');
  }

  /** `isHere`: the listen address is an address of this host. Without it nothing is sent or received, until it is back. */
  underlayIs(isHere: boolean): void {
    if (isHere) this.health.restore('underlay');
    else this.health.degrade('underlay', `${this.facts.listenIp} is no longer an address of this host`);
  }

  /** Entries behind `after` (a MAC as a number, -1 to begin) in the order of MACs. Undefined in point mode. */
  async targets(after: number): Promise<readonly Target[] | undefined> {
    if (this.#open === undefined || this.#open.instance.mode === 'point') return undefined;
    const call = { op: 'cacheIterate', port: this.#open.port.id, after, count: MAX_PAGE_ROWS } as const;
    const entries = ((await this.#parts.engine.call(call)) ?? []) as readonly CacheEntry[];
    return entries.map(({ mac, to }) => ({ mac: keyToMac(mac), destination: to === 'drop' ? 'drop' : this.#show(to) }));
  }

  /** The one destination of point mode. */
  point(): string | undefined {
    const point = this.#open?.instance.point;
    const checked = point === undefined ? undefined : this.#parts.check(point, true);
    return checked?.ok ? this.#show(checked.to) : undefined;
  }

  /**
   * A person says where a target is; nothing but a person changes it again. `destination`: what the encapsulation needs, in
   * text, or `drop`.
   * @throws OverlayError MAC_INVALID, DESTINATION_INVALID, DESTINATION_WRONG, NOT_SUPPORTED in point mode
   */
  setTargetByPerson(text: string, destination: string): void {
    const port = this.#dynamicPort();
    const mac = readInterfaceMac(text);
    const to = parseDestination(destination, this.#facts.encap.needs);
    if (to !== 'drop') {
      const checked = this.#parts.check(to, false);
      if (!checked.ok) throw wrongTarget(destination, checked.reason);
      this.#parts.engine.send({ op: 'cacheSet', port, mac: macToKey(mac), to: checked.to, fixed: true });
    } else this.#parts.engine.send({ op: 'cacheSet', port, mac: macToKey(mac), to: 'drop', fixed: true });
    this.#watcher?.set(mac);
  }

  /** @throws OverlayError MAC_INVALID, TARGET_NOT_FOUND, NOT_SUPPORTED in point mode */
  async removeTarget(text: string): Promise<void> {
    const port = this.#dynamicPort();
    const mac = readInterfaceMac(text);
    if ((await this.#parts.engine.call({ op: 'cacheRemove', port, mac: macToKey(mac) })) === true) return;
    throw targetNotFound(this.#facts.name, text, mac);
  }

  /** @throws OverlayError NOT_SUPPORTED in point mode */
  async flushTargets(): Promise<void> {
    await this.#parts.engine.call({ op: 'cacheFlush', port: this.#dynamicPort() });
  }

  async counters(): Promise<Readonly<Record<string, number>>> {
    const port = this.#open?.port;
    const counted = port === undefined ? undefined : await this.#parts.engine.call({ op: 'counters', port: port.id });
    const all = counted === undefined ? {} : port?.counters(counted as Readonly<Record<string, number>>);
    return { ...all, 'lookup.wrong-destination': this.#wrongDestinations };
  }

  /** Ends it: waiting frames are dropped and counted, lookups aborted, the link goes. Never waits for the plugin. */
  close(): Promise<void> {
    return this.#end((port) => port.close());
  }

  /** Lets go of it for the overlayd that comes next: the link stays. */
  release(): Promise<void> {
    return this.#end((port) => port.release());
  }

  async #end(end: (port: DatapathPort) => Promise<void>): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    this.health.close();
    try {
      open?.door.shut();
      open?.instance.close();
    } finally {
      if (open !== undefined) await end(open.port);
    }
  }

  #dynamicPort(): number {
    const open = this.#open;
    if (open !== undefined && open.instance.mode === 'dynamic') return open.port.id;
    throw noTargets(this.#facts.name, this.#facts.search);
  }

  #whenOpen(act: (port: DatapathPort) => void): void {
    if (this.#open !== undefined) act(this.#open.port);
  }

  #setTarget(port: number, mac: MacAddress, destination: Destination): void {
    const checked = this.#parts.check(destination, false);
    if (checked.ok) this.#parts.engine.send({ op: 'cacheSet', port, mac: macToKey(mac), to: checked.to, fixed: false });
    // Nothing is wrong with a target that is on this very host: macvlan carries to it, and what was known before is not true any more.
    else if (checked.own) this.#parts.engine.send({ op: 'cacheInvalidate', port, mac: macToKey(mac) });
    else this.#wrongDestination(mac, checked.reason);
  }

  #announce(port: number, ip: IpAddress, mac: MacAddress, toMacs: readonly MacAddress[] | undefined): void {
    const { frames, engine } = this.#parts;
    for (const to of toMacs ?? [undefined]) {
      const frame = to === undefined ? frames.announcement(ip, mac) : frames.announcement(ip, mac, to);
      engine.send({ op: 'inject', port, frame });
    }
  }

  #wrongDestination(target: string, why: string): void {
    this.#wrongDestinations++;
    const reason = `lookup plugin ${this.facts.search} gave a wrong destination for ${target}: ${why}`;
    this.health.degrade('destination', reason, TOO_BIG_QUIET_MS);
  }

  #show(to: WireDestination): string {
    return showDestination(to, ipFromBytes(to.ip));
  }
}
