// A kernel end of a netlink socket that answers from a script: for tests of the socket without a kernel.
import { host, type NetlinkMessage } from '../../../src/core/linux/netlink/message.ts';
import type { NetlinkIo } from '../../../src/core/linux/netlink/socket.ts';

/** Datagrams that the kernel sends in answer to one send; empty datagrams are reads that find nothing. */
export type Answer = (messages: readonly NetlinkMessage[]) => readonly Uint8Array[];

export class FakeNetlink implements NetlinkIo {
  readonly sent: NetlinkMessage[][] = [];
  readonly closed: number[] = [];
  readonly #answer: Answer;
  #queue: Uint8Array[] = [];

  constructor(answer: Answer) {
    this.#answer = answer;
  }

  openNetlink(): number {
    return 42;
  }

  close(fd: number): void {
    this.closed.push(fd);
  }

  netlinkSend(_fd: number, message: Uint8Array): void {
    const messages = host.readMessages(message.slice());
    this.sent.push(messages);
    this.#queue.push(...this.#answer(messages));
  }

  netlinkReceive(_fd: number, buffer: Uint8Array): number {
    const next = this.#queue.shift() ?? new Uint8Array(0);
    buffer.set(next);
    return next.length;
  }
}

/** NLMSG_ERROR for a message: 0 acknowledges it. `errno` is positive. */
export const answerError = (to: NetlinkMessage, errno: number): Uint8Array =>
  host.message(2, 0, to.sequence, host.u32(-errno >>> 0), new Uint8Array(16));

/** NLMSG_DONE. */
export const answerDone = (to: NetlinkMessage, flags = 2, errno = 0): Uint8Array => host.message(3, flags, to.sequence, host.u32(-errno >>> 0));
