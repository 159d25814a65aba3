// What a kernel says of the tables of its links, notifications and whole tables: a whole engine, which in the end has made its rows of its cache again.
import vxlan from '@overlayadm/plugin-vxlan';
import fc from 'fast-check';
import type { CacheEntry, EngineAnswer } from '../../src/core/engine/messages.ts';
import { host } from '../../src/core/linux/netlink/message.ts';
import { compileHeader } from '../../src/core/wire/header-format.ts';
import { PUNT_PORT, to } from '../helpers/engine-rig.ts';
import { frame, macOf } from '../helpers/frames.ts';
import { NO_FLOW, whyNotConserved } from './conservation.ts';
import { type Door, must, type Subject } from './door.ts';
import { EngineSubject, Lent } from './engine-subject.ts';
import { mutate } from './mutate.ts';

const LINKS = [11, 12] as const;
const FALLBACK = `127.0.0.1 ${PUNT_PORT}`;
const MACS = Array.from({ length: 6 }, (_, last) => 0x02_00_00_00_00_01 + last);
const SENDER = macOf('02:00:00:00:00:99');
const INPUTS_PER_TURN = 8;
const TURN_MS = 40;
/** More than rows that were refused, or are to be looked at, wait for. */
const REST_MS = 11_000;

const attribute = host.attribute;
const macBytes = (mac: number): Uint8Array => Uint8Array.from({ length: 6 }, (_, i) => Math.floor(mac / 256 ** (5 - i)) % 256);
const ip = (last: number): Uint8Array => Uint8Array.of(192, 0, 2, last);
const PORT = attribute(6, Uint8Array.of(0x12, 0xb5));
const USED = attribute(3, Uint8Array.from([...host.u32(0), ...host.u32(60), ...new Uint8Array(8)]));
const row = (type: number, link: number, flags: number, ...attributes: Uint8Array[]): Uint8Array =>
  host.message(type, 2, 0, Uint8Array.of(7, 0, 0, 0), host.u32(link), host.u16(0x80), Uint8Array.of(flags, 0), ...attributes);
const [FIRST = 0, SECOND = 0] = MACS;

const SEEDS: readonly Uint8Array[] = [
  row(28, 11, 0x12, attribute(2, macBytes(FIRST)), attribute(1, ip(9)), PORT, USED),
  row(28, 11, 0x02, attribute(2, macBytes(FIRST)), attribute(1, ip(66)), PORT),
  row(29, 11, 0x12, attribute(2, macBytes(SECOND)), attribute(1, ip(9)), PORT),
  row(28, 12, 0x12, attribute(2, macBytes(0x02_00_00_00_00_77)), attribute(1, ip(9))),
  row(28, 12, 0x02, attribute(2, macBytes(SECOND)), attribute(1, new Uint8Array(16).fill(0x20))),
  row(
    29,
    11,
    0x12,
    attribute(2, new Uint8Array(6)),
    attribute(1, Uint8Array.of(127, 0, 0, 1)),
    attribute(6, Uint8Array.of(PUNT_PORT >> 8, PUNT_PORT & 255)),
  ),
  row(28, 11, 0x02, attribute(2, new Uint8Array(6)), attribute(1, ip(70))),
  row(28, 11, 0x12, attribute(2, macBytes(FIRST))),
  host.message(3, 0x12, 0, host.u32(0)),
  host.message(2, 0, 0, host.u32(-16 >>> 0), new Uint8Array(16)),
  host.message(2, 0, 0, host.u32(-12 >>> 0), new Uint8Array(16)),
];
const WORDS = [...MACS.map(macBytes), host.u32(11), host.u32(12), host.u16(4), host.u16(0), host.u16(0xffff), PORT, USED, attribute(1, ip(9))];

class FdbSubject implements Subject {
  readonly #engine: EngineSubject;
  readonly #open: number;
  readonly #ports: readonly number[];
  readonly #punted: number[];
  /** Goes into the next table that is read. */
  #parts: Uint8Array[] = [];
  #inputs = 0;

  constructor(engine: EngineSubject) {
    this.#engine = engine;
    this.#open = engine.rig.io.open;
    this.#ports = LINKS.map((index) => engine.openKernel(index, specOf(index)));
    this.#punted = LINKS.map(() => 0);
    engine.rig.io.fdb.beforeDump = (sequence) => this.#rubbish(sequence);
  }

  take(input: Uint8Array): void {
    const { rig } = this.#engine;
    const { fdb } = rig.io;
    this.#inputs++;
    if (this.#inputs % 3 !== 0) fdb.notify(input);
    if (this.#inputs % 2 === 0) this.#parts.push(input);
    if (this.#inputs % 17 === 0) fdb.lose();
    if (this.#inputs % 5 === 0) this.#fromDaemon();
    for (let index = 0; index < LINKS.length; index++) this.#send(index, MACS[this.#inputs % MACS.length] as number);
    if (this.#inputs % INPUTS_PER_TURN === 0) this.#turn(TURN_MS);
  }

  finish(): void {
    const { fdb } = this.#engine.rig.io;
    fdb.beforeDump = () => [];
    for (let round = 0; round < 3; round++) {
      // What is read by now is true.
      fdb.lose();
      for (let turns = 0; turns < 6; turns++) this.#turn(0);
      this.#turn(REST_MS);
    }
    for (const [index, link] of LINKS.entries()) this.#check(index, link);
    this.#engine.checkNothingIsHeld(this.#open);
    for (const link of LINKS) fdb.removeLink(link);
    engines.giveBack(this.#engine);
  }

  /** With the number that the engine waits for, else none of it would count. */
  #rubbish(sequence: number): Uint8Array[] {
    const parts = this.#parts;
    this.#parts = [];
    return parts.map((part) => {
      const bytes = part.slice();
      if (bytes.length >= 12) bytes.set(host.u32(sequence), 8);
      return bytes;
    });
  }

  /** By its row, or to the engine. */
  #send(index: number, mac: number): void {
    const { underlay, io } = this.#engine.rig;
    const link = LINKS[index] as number;
    const bytes = Uint8Array.from([...compileHeader(vxlan.format, link), ...macBytes(mac), ...frame(SENDER, SENDER, 'x').subarray(6)]);
    for (const { to: where } of io.fdb.destinations(link, mac)) {
      if (where === FALLBACK) this.#punted[index] = (this.#punted[index] as number) + 1;
      if (where !== 'drop') underlay.send({ from: '192.0.2.1 50999', to: where, bytes: bytes.slice() });
    }
  }

  #fromDaemon(): void {
    const { rig } = this.#engine;
    const port = this.#ports[this.#inputs % this.#ports.length] as number;
    const mac = MACS[this.#inputs % MACS.length] as number;
    if (this.#inputs % 2 === 0) rig.send({ op: 'cacheSet', port, mac, to: this.#inputs % 4 === 0 ? 'drop' : to(7), fixed: false });
    else rig.send({ op: 'cacheInvalidate', port, mac });
    if (this.#inputs % 35 === 0) rig.send({ op: 'cacheFlush', call: 0, port });
  }

  #turn(ms: number): void {
    const { rig } = this.#engine;
    rig.now += ms;
    rig.turn();
    const answers = rig.asked().map(({ id }): EngineAnswer => (id % 4 === 1 ? { id, kind: 'drop' } : { id, kind: 'found', to: to(9) }));
    rig.send({ op: 'answers', answers });
    rig.turn();
    this.#engine.forgetPosted();
  }

  #check(index: number, link: number): void {
    const { rig } = this.#engine;
    const { fdb } = rig.io;
    const port = this.#ports[index] as number;
    const known = rig.call({ op: 'cacheIterate', port, after: -1, count: 100 }) as readonly CacheEntry[];
    const fallback = fdb.rows(link, 0).map(({ to: where }) => where);
    must(fallback.join() === FALLBACK, () => `unknown targets of link ${link} lead to ${fallback.join()}`);
    must(fdb.size(link) === known.length + 1, () => `link ${link} has ${fdb.size(link)} rows for ${known.length} targets`);
    for (const { mac, to: where } of known) {
      const rows = fdb.rows(link, mac).map((each) => each.to);
      const wanted = where === 'drop' ? 'drop' : `${where.ip.join('.')} ${where.port}`;
      must(rows.join() === wanted, () => `a target of link ${link} has ${rows.join()}, not ${wanted}`);
    }
    const why = whyNotConserved(this.#engine.closeKernel(port), { ...NO_FLOW, punted: this.#punted[index] as number });
    must(why === undefined, () => `link ${link}: ${why}`);
  }
}

const specOf = (vnetid: number) => ({
  vnetid,
  mtu: 1400,
  header: compileHeader(vxlan.format, vnetid),
  carriesVlanTag: true,
  group: false,
  resolves: true,
  servesDhcp: true,
});

const engines = new Lent(() => {
  const engine = new EngineSubject();
  engine.openPunt();
  return engine;
});

export const fdbDoor: Door = {
  name: 'fdb',
  batch: 128,
  short: 4_000,
  open: () => new FdbSubject(engines.lend()),
  mutant: (random) => mutate(SEEDS, WORDS, random),
  arbitrary: fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...SEEDS)),
};
