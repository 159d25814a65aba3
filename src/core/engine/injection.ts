// Frames made by the daemon for the VNICs of a kernel link: sent to the link's own socket, and counted apart from what leaves the host.
import type { HeaderFormat } from '@overlayadm/api';
import type { Counters, PortCounter } from './counters.ts';
import type { FrameOwner } from './sender.ts';

export class Injection implements FrameOwner {
  readonly header: Uint8Array;
  readonly entropy: HeaderFormat['entropy'] | undefined;
  readonly counters: Counters<PortCounter>;

  constructor({ header, entropy, counters }: Pick<FrameOwner, 'header' | 'entropy' | 'counters'>) {
    this.header = header;
    this.entropy = entropy;
    this.counters = counters;
  }

  countSent(length: number): void {
    this.counters.count('tx.injected');
    this.counters.count('tx.injected-bytes', length);
  }

  countUnsent(length: number): void {
    this.counters.count('tx.injected', -1);
    this.counters.count('tx.injected-bytes', -length);
  }

  /** Longer than loopback takes, which no frame of ours is. */
  tooBig(): void {
    this.counters.count('send.failed');
  }
}
