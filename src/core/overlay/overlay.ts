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
//   overlayd, engine thread (core/engine)  every frame. TypeScript decides, the addon (native/) moves bytes, a batch at a
//                                          time. Its JavaScript event loop never turns.
//   plugin hosts (core/varpd)              one process without rights per plugin package in use. They may crash, hang and
//                                          lie; core/lookup is overlayd's side of them.
//
//      VNIC      VNIC                                                            plugin host: files, yours, ...
//       |         |                  overlayd                                             ^   | answers
//   ----+---------+----       +------------------------------------------------+   asks   |   v
//      overlay0 (TAP) <=====> | engine <--- lookups / answers ---> main thread | <====================>
//   ------------------        +--------^---------------------------------------+
//                                      | datagrams of the mux
//                                  underlay
//
// A FRAME OUT. A VNIC sends; what no VNIC of this host has as its address comes out of the TAP. The engine looks up the
// destination MAC. Known: the compiled header is copied before the frame and it leaves, in one system call with the rest
// of its batch, from one of SEND_SOCKETS source ports, chosen by the hash of the inner flow. Unknown: the frame waits and
// its target becomes pending; all misses of a turn go to the main thread as one message, from there to the plugin host
// as one line. The answer sends everything that waited, in order, and is kept. Refused: what waited is dropped and
// counted, and for NEGATIVE_TTL_MS the target is not asked for again.
//
// A FRAME IN. The mux takes a batch of datagrams, checks each against the format, finds the overlay by vnetid and writes
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
// CREATION is a transaction (create.ts): name, plugins, vnetid, properties, underlay, lookup instance, data path. Each step that
// refuses says so with what to do, and what was done before is undone.
//
// DEGRADED IS NOT DOWN. Trouble of a plugin, a wrong answer, a path that is too narrow: the overlay is degraded, with the
// reason, and goes on forwarding what it knows. Links and cache are never touched by it (illumos: overlay_fm.c). Nor are
// sockets when the listen address goes: they stay bound, and the kernel lets them work again when it is back.
//
// WHEN SOMETHING DIES. A plugin host: its requests are kept and asked again, known targets are forwarded meanwhile. The
// engine: overlayd exits, it never runs without. overlayd: TAP and VNICs go with its descriptors, and the nftables table
// of the isolation with its netlink socket; nothing is left behind.
//
// THE OVERLAY IS NO INTERFACE OF THE HOST. A tenant's ARP, broadcasts and router advertisements must not reach the host
// whose overlay0 they pass: no ARP, no IPv6, and a table of nftables that drops every packet whose input device is an
// overlay (linux/). VNICs are not touched by it. Every link we make carries our mark; one without is never touched.
//
// NOT DONE, AND WHY. No learning from traffic: anybody who can send a datagram could move a tenant's address. No
// flooding: what the lookup plugin does not know does not exist. No fragments (RFC 7348 §4.3): what does not fit is
// dropped, counted and reported with its size.
import { type Destination, type IpAddress, ipFromBytes, type MacAddress } from '@overlayadm/api';
import type { DatapathPort } from '../datapath/driver.ts';
import type { CacheEntry, EngineLink, FromEngine, WireDestination } from '../engine/messages.ts';
import type { EncapDescription, InstanceEvents, LookupInstance } from '../lookup/types.ts';
import type { ResolvedProperty } from '../property/table.ts';
import type { Clock } from '../util/clock.ts';
import { MAX_PAGE_ROWS, MAX_TARGETS_PER_OVERLAY, TOO_BIG_QUIET_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { keyToMac, macToKey } from '../util/mac-key.ts';
import { type CheckedDestination, showDestination } from './destination.ts';
import { Health } from './health.ts';
import { type FrameDoor, type Miss, OverlayLookups } from './lookups.ts';
import { tooBigReason } from './mtu.ts';

/** What an overlay is, fixed when it is made. */
export interface OverlayFacts {
  readonly name: string;
  /** Number of the lookup instance: `varpd/id`, never used twice in the life of overlayd. */
  readonly id: number;
  readonly vnetid: number;
  readonly encap: EncapDescription;
  readonly search: string;
  readonly listenIp: IpAddress;
  readonly properties: readonly ResolvedProperty[];
  readonly mtu: number;
  /** As show-overlay says it: the driver, and behind `auto` why it was chosen. */
  readonly datapath: string;
}

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

export class Overlay {
  readonly facts: OverlayFacts;
  readonly health: Health;
  readonly #parts: OverlayParts;
  #open: { readonly port: DatapathPort; readonly instance: LookupInstance; readonly lookups: OverlayLookups } | undefined;
  /** What the plugin said before the data path was open. */
  #early: (() => void)[] = [];
  #wrongDestinations = 0;

  constructor(facts: OverlayFacts, parts: OverlayParts) {
    this.facts = facts;
    this.#parts = parts;
    const { clock, healthLog } = parts;
    this.health = new Health(clock, ({ status, causes, reason }) => {
      const fields = { overlay: facts.name, status, causes, ...(reason === undefined ? {} : { reason }) };
      if (status === 'DEGRADED') healthLog.warn(fields, 'health');
      else healthLog.info(fields, 'health');
    });
  }

  /** For createInstance(): what the plugin says reaches the overlay, from the moment it is activated. */
  readonly events: InstanceEvents = {
    answered: (answers) => this.#open?.lookups.answered(answers),
    setTarget: (mac, destination) => this.#whenOpen((port) => this.#setTarget(port.id, mac, destination)),
    invalidateTarget: (mac) => this.#whenOpen((port) => this.#parts.engine.send({ op: 'cacheInvalidate', port: port.id, mac: macToKey(mac) })),
    announce: (ip, mac, toMacs) => this.#whenOpen((port) => this.#announce(port.id, ip, mac, toMacs)),
    degraded: (reason) => this.health.degrade('plugin', reason),
    restored: () => this.health.restore('plugin'),
    hostDown: (reason) => this.health.degrade('plugin-host', reason),
    hostUp: () => this.health.restore('plugin-host'),
    outdated: () => this.#whenOpen((port) => this.#parts.engine.send({ op: 'cacheOutdated', port: port.id })),
  };

  activate(port: DatapathPort, instance: LookupInstance): void {
    const { engine, frames, log, check, isVnic } = this.#parts;
    const wrongDestination = (target: string, reason: string): void => this.#wrongDestination(target, reason);
    const lookups = new OverlayLookups({
      port: port.id,
      engine,
      instance,
      frames,
      log,
      isVnic,
      check: (to) => check(to, false),
      wrongDestination,
    });
    this.#open = { port, instance, lookups };
    for (const said of this.#early) said();
    this.#early = [];
  }

  get port(): DatapathPort | undefined {
    return this.#open?.port;
  }

  missed(misses: readonly Miss[]): void {
    this.#open?.lookups.missed(misses);
  }

  aborted(ids: readonly number[]): void {
    this.#open?.lookups.aborted(ids);
  }

  tooBig({ to, packetBytes }: Extract<FromEngine, { readonly op: 'tooBig' }>): void {
    const reason = tooBigReason(this.facts, this.#show(to), packetBytes, this.#parts.mtuTo(ipFromBytes(to.ip)));
    this.health.degrade('too-big', reason, TOO_BIG_QUIET_MS);
  }

  tapFailed(errno: number): void {
    this.health.degrade('device', `${this.facts.name} was deleted by somebody (errno ${errno})`);
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

  async counters(): Promise<Readonly<Record<string, number>>> {
    const port = this.#open?.port.id;
    const counted = port === undefined ? {} : await this.#parts.engine.call({ op: 'counters', port });
    return { ...(counted as Readonly<Record<string, number>> | undefined), 'lookup.wrong-destination': this.#wrongDestinations };
  }

  /** Ends it: waiting frames are dropped and counted, lookups aborted, the link goes. Never waits for the plugin. */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    this.health.close();
    try {
      open?.instance.close();
    } finally {
      await open?.port.close();
    }
  }

  #whenOpen(act: (port: DatapathPort) => void): void {
    if (this.#open !== undefined) act(this.#open.port);
    // A plugin may say more than is good for us. What is forgotten here is asked for when a frame needs it.
    else if (this.#early.length < MAX_TARGETS_PER_OVERLAY) this.#early.push(() => this.#whenOpen(act));
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
