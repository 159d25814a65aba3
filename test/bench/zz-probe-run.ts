// temporary probe
import { twoHosts, waitFor } from '../helpers/netns.ts';
import { control, controlAfter } from '../helpers/netns-overlay.ts';
import { createMany, sampleAnswers, setTargets } from '../helpers/netns-scale.ts';
import { cpuSeconds, residentBytes } from './process-figures.ts';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
const t0 = performance.now();
const say = (...a: unknown[]) => console.log(((performance.now() - t0) / 1000).toFixed(2), ...a);
export async function probe([count = '100', targets = '0', prof = '']: string[]) {
  const [host] = await twoHosts({ v6: false });
  const env = prof ? { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=/tmp/scale/prof` } : {};
  const daemon = await host.startDaemon(env);
  const client = await control(host);
  const other = await control(host);
  let pid = host.daemonPid() as number;
  const n = Number(count);
  const stats = () => `cpu ${cpuSeconds(pid)} rss ${(residentBytes(pid) / 2 ** 20).toFixed(0)} keeper ${(residentBytes(host.keeperPid() as number) / 2 ** 20).toFixed(1)} fds ${readdirSync(`/proc/${pid}/fd`).length}`;
  await createMany(client, { count: 1, search: 'direct', properties: { 'vxlan/listen_ip': host.v4, 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' } });
  say('first', stats());
  let sampler = sampleAnswers(other, 20, 100);
  let step = Math.max(1, n / 10);
  for (let from = 1; from < n; from += step) {
    const b = performance.now();
    const c = Math.min(step, n - from);
    await createMany(client, { count: c, from, search: 'direct', properties: { 'vxlan/listen_ip': host.v4, 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' } });
    say(`${from}..${from + c}: ${(c / ((performance.now() - b) / 1000)).toFixed(0)}/s`, stats());
  }
  say('create waits', JSON.stringify(await sampler.stop()));
  for (const args of [['show-overlay'], ['show-link'], ['show-vnic'], ['show-linkprop'], ['show-overlay', '-f'], ['show-link', '-s']]) {
    const before = cpuSeconds(pid); const b = performance.now();
    sampler = sampleAnswers(other, 20, 100);
    const r = await host.overlayadm(...args);
    say(args.join(' '), r.status, r.stdout.split('\n').length, r.stderr.slice(0, 200), 'wall', (performance.now() - b).toFixed(0), 'daemon cpu', (cpuSeconds(pid) - before).toFixed(2), JSON.stringify(await sampler.stop()));
  }
  if (Number(targets) > 0) {
    const mapping: Record<string, object> = {};
    await client.call('overlay.create', { name: 'big0', encap: 'vxlan', search: 'files', vnetid: 5_000_000, properties: [{ name: 'vxlan/listen_ip', text: host.v4 }, { name: 'files/config', text: (await import('../helpers/netns-overlay.ts')).mappingFile(host, 'm.json', mapping) }], temporary: false });
    sampler = sampleAnswers(other, 20, 100);
    const b = performance.now();
    await setTargets(client, 'big0', Number(targets), '192.0.2.2');
    say('targets/s', Number(targets) / ((performance.now() - b) / 1000), stats());
    await new Promise((r) => setTimeout(r, 3000));
    say('target waits', JSON.stringify(await sampler.stop()));
    const b2 = performance.now(); const before = cpuSeconds(pid);
    sampler = sampleAnswers(other, 20, 100);
    const r = await host.overlayadm('show-overlay', '-t', 'big0');
    say('show -t', r.status, r.stdout.split('\n').length, 'wall', performance.now() - b2, 'cpu', cpuSeconds(pid) - before, JSON.stringify(await sampler.stop()));
  }
  await new Promise((r) => setTimeout(r, 2500));
  { const before = cpuSeconds(pid); await new Promise((r) => setTimeout(r, 2000)); say('idle cpu in 2 s', cpuSeconds(pid) - before, stats()); }
  if (prof) { await host.stopDaemon(); say('stopped'); return; }
  const b = performance.now();
  process.kill(pid, 'SIGKILL');
  const again = await controlAfter(host, pid);
  say('served again after', performance.now() - b);
  pid = host.daemonPid() as number;
  sampler = sampleAnswers(again, 20, 100);
  say('names', (await again.call('overlay.names', { saved: false })).length, stats());
  await waitFor(async () => { for (const name of [`overlay${n - 1}`]) if ((await again.call('overlay.health', { name })).status !== 'ONLINE') return false; return true; }, 20000);
  say('last ONLINE after', performance.now() - b);
  await new Promise((r) => setTimeout(r, 2000));
  say('after restart waits', JSON.stringify(await sampler.stop()), stats());
  const b3 = performance.now();
  await host.stopDaemon();
  say('stopped in', performance.now() - b3);
  const b4 = performance.now();
  await host.startDaemon();
  await control(host);
  say('cold start', performance.now() - b4);
  say(daemon.stderr.split('\n').filter((l) => /"level":(40|50)/.test(l) || !l.startsWith('{')).slice(0, 10).join('\n'));
}
