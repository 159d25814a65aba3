// What an instance is lent: every call of LookupHost becomes a message, after the check that overlayd will make of it.
import { type Destination, type IpAddress, type LocalAddress, type LookupHost, type MacAddress, messageOf, parseIp, parseMac } from '@overlayadm/api';
import { type Clock, sleep } from '../util/clock.ts';
import { MAX_ANNOUNCE_MACS, MAX_LOG_TEXT_BYTES, MAX_REASON_BYTES } from '../util/limits.ts';
import { readDestination } from './answers.ts';
import { Feed, FileFeed } from './feed.ts';
import { cutText, errorOf, type Failure, type FromHost, type HostedSpec } from './protocol.ts';

let filesOpened = 0;

export interface HostParts {
  readonly id: number;
  readonly spec: HostedSpec;
  readonly clock: Clock;
  send(message: FromHost): void;
}

/** No call throws, as the contract says: what is wrong is logged and left out. */
export class InstanceHost implements LookupHost {
  readonly vnetid: number;
  readonly usualPort: number | undefined;
  readonly log: LookupHost['log'];
  readonly clock: LookupHost['clock'];
  readonly #parts: HostParts;
  readonly #feeds = new Map<number, FileFeed>();
  /** Iterations over the addresses of VNICs; overlayd watches them while there is one. */
  readonly #addressFeeds = new Set<Feed<readonly LocalAddress[]>>();
  #addresses: readonly LocalAddress[] | undefined;
  #closed = false;

  constructor(parts: HostParts) {
    this.#parts = parts;
    this.vnetid = parts.spec.vnetid;
    this.usualPort = parts.spec.usualPort;
    this.log = {
      info: (message, fields) => this.#log('info', message, fields),
      warn: (message, fields) => this.#log('warn', message, fields),
    };
    this.clock = { now: () => parts.clock.now(), sleep: (ms, signal) => sleep(parts.clock, ms, signal) };
  }

  setTarget(mac: MacAddress, destination: Destination): void {
    const target = parseMac(String(mac));
    const to = readDestination(destination);
    if (target === undefined || to === undefined) this.log.warn(`setTarget: ${mac} or its destination is not what the contract says`);
    else this.#send({ type: 'setTarget', instance: this.#parts.id, mac: target, destination: to });
  }

  invalidateTarget(mac: MacAddress): void {
    const target = parseMac(String(mac));
    if (target === undefined) this.log.warn(`invalidateTarget: ${mac} is no MAC address`);
    else this.#send({ type: 'invalidate', instance: this.#parts.id, mac: target });
  }

  announce(ip: IpAddress, mac: MacAddress, toMacs?: readonly MacAddress[]): void {
    const address = parseIp(String(ip));
    const owner = parseMac(String(mac));
    const to = toMacs?.map((each) => parseMac(String(each))).filter((each) => each !== undefined);
    if (address === undefined || owner === undefined || to?.length !== toMacs?.length || (to?.length ?? 0) > MAX_ANNOUNCE_MACS)
      this.log.warn(`announce: ${ip}, ${mac} or one of the listeners is not what the contract says`);
    else this.#send({ type: 'announce', instance: this.#parts.id, ip: address, mac: owner, ...(to === undefined ? {} : { toMacs: to }) });
  }

  /** The file is opened when the iteration begins. */
  file(property: string): AsyncIterable<Uint8Array> {
    return { [Symbol.asyncIterator]: () => this.#openFile(String(property)) };
  }

  localAddresses(): AsyncIterable<readonly LocalAddress[]> {
    return { [Symbol.asyncIterator]: () => this.#openAddresses() };
  }

  degrade(reason: string): void {
    this.#send({ type: 'degrade', instance: this.#parts.id, reason: cutText(String(reason), MAX_REASON_BYTES) });
  }

  restore(): void {
    this.#send({ type: 'restore', instance: this.#parts.id });
  }

  /** Contents for one of the open files; false when it is none of this instance. */
  fileData(file: number, data: string, last: boolean): boolean {
    const feed = this.#feeds.get(file);
    feed?.push(data, last);
    return feed !== undefined;
  }

  fileFailed(file: number, error: Failure): void {
    const feed = this.#feeds.get(file);
    this.#feeds.delete(file);
    feed?.fail(errorOf(error));
  }

  localAddressesAre(addresses: readonly LocalAddress[]): void {
    if (this.#addressFeeds.size === 0) return;
    this.#addresses = addresses;
    for (const feed of this.#addressFeeds) feed.put(addresses);
  }

  /** Nothing is sent from now on, and iterations end. */
  close(): void {
    this.#closed = true;
    for (const feed of [...this.#feeds.values(), ...this.#addressFeeds]) feed.return();
  }

  #openFile(property: string): FileFeed {
    const file = filesOpened++;
    const instance = this.#parts.id;
    const feed: FileFeed = new FileFeed(
      () => {
        this.#feeds.set(file, feed);
        this.#send({ type: 'openFile', instance, file, property: cutText(property, MAX_REASON_BYTES) });
      },
      () => {
        if (this.#feeds.delete(file)) this.#send({ type: 'closeFile', instance, file });
      },
    );
    return feed;
  }

  #openAddresses(): Feed<readonly LocalAddress[]> {
    const instance = this.#parts.id;
    const feed: Feed<readonly LocalAddress[]> = new Feed(
      () => {
        this.#addressFeeds.add(feed);
        if (this.#addresses !== undefined) feed.put(this.#addresses);
        else if (this.#addressFeeds.size === 1) this.#send({ type: 'watchAddresses', instance });
      },
      () => {
        this.#addressFeeds.delete(feed);
        if (this.#addressFeeds.size > 0) return;
        this.#addresses = undefined;
        this.#send({ type: 'unwatchAddresses', instance });
      },
    );
    return feed;
  }

  #log(level: 'info' | 'warn', message: string, fields: object | undefined): void {
    const text = fields === undefined ? String(message) : `${message} ${fieldsText(fields)}`;
    this.#send({ type: 'log', instance: this.#parts.id, level, message: cutText(text, MAX_LOG_TEXT_BYTES) });
  }

  #send(message: FromHost): void {
    if (!this.#closed) this.#parts.send(message);
  }
}

function fieldsText(fields: object): string {
  try {
    return JSON.stringify(fields);
  } catch (error) {
    return `(fields: ${messageOf(error)})`;
  }
}
