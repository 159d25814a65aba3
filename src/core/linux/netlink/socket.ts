// One netlink socket, question and answer: the kernel has answered when the send returns, so nothing here waits.
import { OverlayError } from '@overlayadm/api';
import type { NetlinkOptions, PacketIo } from '@overlayadm/packetio';
import { MAX_DUMP_ATTEMPTS, MAX_EMPTY_NETLINK_READS, NETLINK_BUFFER_BYTES } from '../../util/limits.ts';
import { errnoOf, kernelRefused } from '../errors.ts';
import { host, type NetlinkMessage, NLM_F, NLMSG } from './message.ts';

export type NetlinkIo = Pick<PacketIo, 'openNetlink' | 'netlinkSend' | 'netlinkReceive' | 'close'>;

/** NETLINK_ROUTE and NETLINK_NETFILTER (netlink.h). */
export const NETLINK = { route: 0, netfilter: 12 } as const;

/** What a request is about, for the sentence "SUBJECT: cannot ACTION (reason)". */
export interface Purpose {
  readonly subject: string;
  readonly action: string;
}

/** One message of a batch; `errno` of its answer is 0 when it was fine. */
export interface BatchMessage {
  readonly type: number;
  readonly flags: number;
  readonly body: readonly Uint8Array[];
}

/** The error number of an NLMSG_ERROR or NLMSG_DONE, positive, 0 for an acknowledgement. */
const errnoIn = (message: NetlinkMessage): number => Math.abs(host.readI32(message.body) ?? 0);

/** Not for use by two callers at a time, which synchronous calls cannot be. */
export class NetlinkSocket {
  readonly #io: NetlinkIo;
  readonly #fd: number;
  readonly #buffer = new Uint8Array(NETLINK_BUFFER_BYTES);
  #sequence = 0;

  /** @throws SystemError of the addon. */
  constructor(io: NetlinkIo, options: NetlinkOptions) {
    this.#io = io;
    this.#fd = io.openNetlink(options);
  }

  close(): void {
    this.#io.close(this.#fd);
  }

  /** Sends one message and returns what the kernel answered before its acknowledgement. @throws OverlayError when it refuses. */
  request(purpose: Purpose, type: number, flags: number, ...body: Uint8Array[]): NetlinkMessage[] {
    const sequence = this.#next();
    this.#send(purpose, host.message(type, flags | NLM_F.request | NLM_F.ack, sequence, ...body));
    const answers: NetlinkMessage[] = [];
    for (;;) {
      for (const answer of this.#receive(purpose)) {
        if (answer.sequence !== sequence) continue;
        if (answer.type !== NLMSG.error) answers.push(answer);
        else if (errnoIn(answer) === 0) return answers;
        else throw kernelRefused(purpose.subject, purpose.action, errnoIn(answer));
      }
    }
  }

  /** All messages of a dump; begun anew, at most MAX_DUMP_ATTEMPTS times, when the table changed under it (NLM_F_DUMP_INTR). */
  dump(purpose: Purpose, type: number, ...body: Uint8Array[]): NetlinkMessage[] {
    for (let attempt = 0; attempt < MAX_DUMP_ATTEMPTS; attempt++) {
      const messages = this.#dumpOnce(purpose, type, body);
      if (messages !== undefined) return messages;
    }
    throw new OverlayError(
      'NETLINK_NO_ANSWER',
      `${purpose.subject}: cannot ${purpose.action} (the table changed in each of ${MAX_DUMP_ATTEMPTS} readings)`,
    );
  }

  /**
   * Sends several messages as one datagram, each to be acknowledged but `unacknowledged` ones (the marks of an nfnetlink
   * batch, which speak up only when the whole batch is refused). Returns the first error as {index, errno}.
   */
  batch(purpose: Purpose, messages: readonly BatchMessage[]): { readonly index: number; readonly errno: number } | undefined {
    const first = (this.#sequence + 1) >>> 0;
    const bytes = messages.map((message) => host.message(message.type, message.flags | NLM_F.request, this.#next(), ...message.body));
    this.#send(purpose, Buffer.concat(bytes));
    const waiting = new Set<number>();
    for (const [index, message] of messages.entries()) if (message.flags & NLM_F.ack) waiting.add(index);
    while (waiting.size > 0) {
      for (const answer of this.#receive(purpose)) {
        const index = (answer.sequence - first) >>> 0;
        if (answer.type !== NLMSG.error || index >= messages.length) continue;
        if (errnoIn(answer) !== 0) return { index, errno: errnoIn(answer) };
        waiting.delete(index);
      }
    }
    return undefined;
  }

  /** Undefined when it has to be done again. An interrupted dump is read to its end, so that the next one finds no rest of it. */
  #dumpOnce(purpose: Purpose, type: number, body: readonly Uint8Array[]): NetlinkMessage[] | undefined {
    const sequence = this.#next();
    this.#send(purpose, host.message(type, NLM_F.request | NLM_F.dump, sequence, ...body));
    const messages: NetlinkMessage[] = [];
    let interrupted = false;
    for (;;) {
      for (const answer of this.#receive(purpose)) {
        if (answer.sequence !== sequence) continue;
        interrupted ||= (answer.flags & NLM_F.dumpInterrupted) !== 0;
        if (answer.type !== NLMSG.error && answer.type !== NLMSG.done) messages.push(answer);
        else if (errnoIn(answer) !== 0) throw kernelRefused(purpose.subject, purpose.action, errnoIn(answer));
        else return interrupted ? undefined : messages;
      }
    }
  }

  #next(): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#sequence;
  }

  #send(purpose: Purpose, message: Uint8Array): void {
    try {
      this.#io.netlinkSend(this.#fd, message);
    } catch (error) {
      throw kernelRefused(purpose.subject, purpose.action, errnoOf(error) ?? 0, error);
    }
  }

  #receive(purpose: Purpose): NetlinkMessage[] {
    for (let read = 0; read < MAX_EMPTY_NETLINK_READS; read++) {
      const length = this.#read(purpose);
      // Copied, because the messages outlive the next read.
      if (length > 0) return host.readMessages(this.#buffer.slice(0, length));
    }
    throw new OverlayError('NETLINK_NO_ANSWER', `${purpose.subject}: cannot ${purpose.action} (the kernel did not answer)`);
  }

  #read(purpose: Purpose): number {
    try {
      return this.#io.netlinkReceive(this.#fd, this.#buffer);
    } catch (error) {
      throw kernelRefused(purpose.subject, purpose.action, errnoOf(error) ?? 0, error);
    }
  }
}
