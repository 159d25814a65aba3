// Runs in a namespace for netns-traffic.ts: one end of a TCP transfer, a UDP listener or sender.
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';

const HASH_BYTES = 32;
const TCP_PORT = 7000;
/** A transfer that stands still for so long has failed, ms. */
const STALLED_MS = 15_000;

const hashOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** Sends random bytes behind their hash, takes as many, and says whether they have the hash they came with. */
function exchange(socket: Socket, bytes: number): void {
  const data = randomBytes(bytes);
  const chunks: Buffer[] = [];
  socket.setTimeout(STALLED_MS, () => socket.destroy(new Error('stalled')));
  socket.on('error', (error) => console.log(error.message));
  socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
  socket.on('end', () => {
    const all = Buffer.concat(chunks);
    const received = all.subarray(HASH_BYTES);
    const same = received.length === bytes && hashOf(received).equals(all.subarray(0, HASH_BYTES));
    console.log(same ? 'same' : `${received.length} of ${bytes} bytes, or others`);
  });
  socket.end(Buffer.concat([hashOf(data), data]));
}

function listenTcp(address: string, bytes: number): void {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    server.close();
    exchange(socket, bytes);
  });
  server.listen(TCP_PORT, address, () => console.log('listening'));
}

function listenUdp(port: number): void {
  const socket = createSocket('udp6');
  socket.on('message', (data) => console.log(data.toString()));
  socket.bind(port, '::', () => console.log('listening'));
}

function sendUdp(address: string, port: number): void {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const datagrams = readFileSync(0, 'utf8').split('\n').filter(Boolean);
  let left = datagrams.length;
  for (const hex of datagrams) {
    socket.send(Buffer.from(hex, 'hex'), port, address, (error) => {
      if (error) throw error;
      if (--left === 0) socket.close();
    });
  }
}

const [what, ...args] = process.argv.slice(2);
const [first = '', second = ''] = args;
if (what === 'tcp-listen') listenTcp(first, Number(second));
else if (what === 'tcp-connect') exchange(createConnection({ host: first, port: TCP_PORT, allowHalfOpen: true }), Number(second));
else if (what === 'udp-listen') listenUdp(Number(first));
else if (what === 'udp-send') sendUdp(first, Number(second));
else throw new Error(`cannot do ${what}`);
