// One measurement over one path.
import type { Path } from './paths.ts';
import { cpuSeconds } from './process-figures.ts';
import type { Samples } from './report.ts';

const TCP_SECONDS = 2;
const UDP_SECONDS = 2;
const PINGS = 200;
/** A measurement that takes longer has failed, ms. */
const TIMEOUT_MS = 20_000;

interface IperfSum {
  readonly bits_per_second: number;
  readonly bytes: number;
  readonly packets: number;
  readonly lost_packets: number;
  readonly seconds: number;
}
interface IperfResult {
  readonly end: { readonly sum: IperfSum; readonly sum_received: IperfSum };
}

async function iperf({ name, from, to, address }: Path, args: readonly string[]): Promise<IperfResult['end']> {
  const server = to.start('iperf3', ['-s', '-1', '--forceflush']);
  await server.printed('Server listening');
  const client = await from.run('iperf3', ['-c', address, '-J', ...args], { timeoutMs: TIMEOUT_MS });
  if (client.status !== 0) {
    // It serves one client, and would wait for ever for one that could not connect.
    server.killGroup();
    throw new Error(`iperf3 over ${name}: status ${client.status ?? client.signal}: ${client.stderr}${client.stdout}`);
  }
  await server.end();
  return (JSON.parse(client.stdout) as IperfResult).end;
}

export async function measureTcp(path: Path, samples: Samples): Promise<void> {
  const before = path.daemons.map(cpuSeconds);
  const { sum_received: received } = await iperf(path, ['-t', String(TCP_SECONDS)]);
  const after = path.daemons.map(cpuSeconds);
  samples.add('TCP, Gb/s', path.name, received.bits_per_second / 1e9);
  for (const [i, end] of ['sender', 'receiver'].entries()) {
    const [start, stop] = [before[i], after[i]];
    if (start !== undefined && stop !== undefined)
      samples.add(`overlayd of the ${end}, CPU s/GB`, path.name, (stop - start) / (received.bytes / 1e9));
  }
}

export async function measureUdp(path: Path, samples: Samples): Promise<void> {
  const { sum } = await iperf(path, ['-t', String(UDP_SECONDS), '-u', '-b', '0', '-l', '64']);
  samples.add('64-byte UDP delivered, kpps', path.name, (sum.packets - sum.lost_packets) / sum.seconds / 1e3);
  samples.add('64-byte UDP sent, kpps', path.name, sum.packets / sum.seconds / 1e3);
}

export async function measurePing({ name, from, address }: Path, samples: Samples): Promise<void> {
  const { stdout } = await from.must('ping', ['-n', '-q', '-i', '0.002', '-c', String(PINGS), address], { timeoutMs: TIMEOUT_MS });
  const [, average] = /= [\d.]+\/([\d.]+)\//.exec(stdout) ?? [];
  const [, received] = /(\d+) received/.exec(stdout) ?? [];
  if (average === undefined || received === undefined) throw new Error(`ping said: ${stdout}`);
  samples.add('ping, average us', name, Number(average) * 1000);
  samples.add('pings lost', name, PINGS - Number(received));
}
