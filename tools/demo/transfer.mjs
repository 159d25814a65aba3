// A TCP transfer for machines without iperf3: `transfer.mjs receive` takes what comes, `transfer.mjs send ADDRESS` sends.
import { connect, createServer } from 'node:net';

const PORT = 5201;
const SEND_MS = 2000;
const CHUNK = Buffer.alloc(256 * 1024);

function receive() {
  const server = createServer((socket) => {
    let bytes = 0;
    const start = performance.now();
    socket.on('data', (data) => {
      bytes += data.length;
    });
    socket.on('end', () => {
      const seconds = (performance.now() - start) / 1000;
      // The sender shows it: it is the rate of what has arrived.
      socket.end(`${(bytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(2)} s: ${((bytes * 8) / seconds / 1e6).toFixed(0)} Mb/s\n`);
      server.close();
    });
  });
  server.listen(PORT, () => console.log('listening'));
}

function send(address) {
  const socket = connect({ host: address, port: PORT, allowHalfOpen: true });
  const end = performance.now() + SEND_MS;
  const more = () => {
    while (performance.now() < end) if (!socket.write(CHUNK)) return socket.once('drain', more);
    socket.end();
  };
  socket.on('connect', more).pipe(process.stdout);
}

const [what, address] = process.argv.slice(2);
if (what === 'send') send(address);
else receive();
