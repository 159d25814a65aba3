// The engine's thread: makes the engine and gives it turns until it is told to stop. Its JavaScript event loop never turns.
import { randomInt } from 'node:crypto';
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { loadPacketIo } from '@overlayadm/packetio';
import { Engine } from './engine.ts';
import type { ToEngine } from './messages.ts';

/** What the daemon hands over as workerData. */
export interface EngineWorkerData {
  readonly port: MessagePort;
  readonly wake: number;
}

const { port, wake } = workerData as EngineWorkerData;
const engine = new Engine({
  io: loadPacketIo(),
  wake,
  seed: randomInt(0x1_0000_0000),
  now: () => performance.now(),
  take: () => receiveMessageOnPort(port)?.message as ToEngine | undefined,
  post: (message, transfer) => port.postMessage(message, transfer),
});
while (!engine.isStopped) engine.turn();
port.close();
