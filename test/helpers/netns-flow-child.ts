// Runs in a namespace for netns-flow.ts: sends numbered datagrams at a steady rate, or sends back what comes.
import { createSocket } from 'node:dgram';

const PORT = 7100;
const TICK_MS = 2;
/** Datagrams on the way at once: fewer than any buffer holds when cores are busy, so that nothing is lost for want of room. */
const WINDOW = 64;
/** The most that everybody may ask for (net.core.rmem_max of a usual kernel), bytes. */
const BUFFER_BYTES = 208 * 1024;
/** When nothing has come for so long, what is missing is lost, ms. */
const STALLED_MS = 3000;
/** As long as a small frame of a voice call, bytes. */
const DATAGRAM_BYTES = 160;

function echo(at: string): void {
  const socket = createSocket({ type: 'udp4', recvBufferSize: BUFFER_BYTES });
  socket.on('message', (data, { port, address }) => socket.send(data, port, address));
  socket.bind(PORT, at, () => console.log('listening'));
}

function send(from: string, to: string, count: number, perSecond: number): void {
  const socket = createSocket({ type: 'udp4', recvBufferSize: BUFFER_BYTES });
  const returned = new Set<number>();
  const start = performance.now();
  let sent = 0;
  let errors = 0;
  let last = start;
  let longestPauseMs = 0;
  socket.on('message', (data) => {
    const now = performance.now();
    longestPauseMs = Math.max(longestPauseMs, now - last);
    last = now;
    returned.add(data.readUInt32BE(0));
  });
  socket.bind(0, from, () => {
    const ticks = setInterval(() => {
      const now = performance.now();
      const due = Math.min(count, Math.floor(((now - start) * perSecond) / 1000));
      for (; sent < due && sent - returned.size < WINDOW; sent++) {
        const data = Buffer.alloc(DATAGRAM_BYTES);
        data.writeUInt32BE(sent, 0);
        socket.send(data, PORT, to, (error) => {
          if (error) errors++;
        });
      }
      if (returned.size < count && now - last < STALLED_MS) return;
      clearInterval(ticks);
      socket.close();
      console.log(JSON.stringify({ sent, returned: returned.size, errors, seconds: (now - start) / 1000, longestPauseMs }));
    }, TICK_MS);
  });
}

const [what, from = '', to = '', count = '', perSecond = ''] = process.argv.slice(2);
if (what === 'echo') echo(from);
else send(from, to, Number(count), Number(perSecond));
