// Hears of rows of kernel links the moment the kernel tells of them (RTNLGRP_NEIGH), as any other program would.
import type { PacketIo } from '@overlayadm/packetio';
import { newRowView, RowReader, type RowView } from '../../src/core/engine/fdb-messages.ts';

const NETLINK_ROUTE = 0;
const GROUP_NEIGH = 3;
const READ_BYTES = 64 * 1024;

export class RowEars {
  readonly #io: PacketIo;
  readonly #socket: number;
  readonly #poll: number;
  readonly #ready = new Uint32Array(1);
  readonly #reader = new RowReader(READ_BYTES);
  readonly #view = newRowView();
  /** How often the kernel had no room for what it had to tell. */
  lost = 0;

  constructor(io: PacketIo) {
    this.#io = io;
    this.#socket = io.openNetlink({ protocol: NETLINK_ROUTE, groups: [GROUP_NEIGH] });
    this.#poll = io.openPoll();
    io.pollAdd(this.#poll, this.#socket, 1);
  }

  /** Every row with our mark that was put in since the last time; waits at most `ms` for one. */
  hear(ms: number, take: (row: RowView) => void): void {
    this.#io.wait(this.#poll, this.#ready, ms);
    for (let length = this.#receive(); length > 0; length = this.#receive()) {
      for (let at = 0; this.#reader.read(at, length, this.#view); at = this.#view.next)
        if (this.#view.kind === 'row' && this.#view.ours) take(this.#view);
    }
  }

  #receive(): number {
    try {
      return this.#io.netlinkReceive(this.#socket, this.#reader.bytes);
    } catch {
      this.lost++;
      return this.#receive();
    }
  }
}
