// The plugin in the README: installed as it is told there, it carries frames between two hosts.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Host, twoHosts } from '../helpers/netns.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** The first code block of a language behind a text. */
function block(language: string, behind: string): string {
  const rest = readme.slice(readme.indexOf(behind));
  const found = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms').exec(rest)?.[1];
  if (found === undefined || !readme.includes(behind)) throw new Error(`no ${language} behind "${behind}" in README.md`);
  return found;
}

function writePlugin(): string {
  const base = temporaryFolder();
  const folder = join(base, 'plugin-geneve');
  mkdirSync(folder);
  // For the user of the plugin host.
  chmodSync(base, 0o755);
  writeFileSync(join(folder, 'package.json'), block('json', '`package.json`:'));
  writeFileSync(join(folder, 'index.js'), block('js', '`index.js`:'));
  return folder;
}

async function addGuest(host: Host, ip: string): Promise<void> {
  const guest = await host.vnicNamespace('guest');
  await host.mustOverlayadm('create-vnic', '-l', 'overlay0', '-p', `netns=${guest.name}`, 'vnic0');
  await guest.must('ip', ['address', 'add', `${ip}/24`, 'dev', 'vnic0']);
}

skipUnless({ root: true, tun: true, commands: ['ping'] })('the plugin in the README', () => {
  it('carries frames', async () => {
    const plugin = writePlugin();
    const [a, b] = await twoHosts({ v6: false });
    for (const [host, peer, ip] of [[a, b, '10.0.0.1'] as const, [b, a, '10.0.0.2'] as const]) {
      const [, ...link] = block('sh', 'from a folder that everybody may read').trim().replace('/srv/plugin-geneve', plugin).split(' ');
      await host.mustOverlayadm(...link);
      const properties = `geneve/listen_ip=${host.v4},direct/dest_ip=${peer.v4},direct/dest_port=6081`;
      const created = await host.mustOverlayadm('create-overlay', '-e', 'geneve', '-s', 'direct', '-v', '7', '-p', properties);
      expect(created).toMatchObject({ stdout: 'overlay0\n', stderr: '' });
      await addGuest(host, ip);
    }
    const ping = await (await a.vnicNamespace('guest')).must('ping', ['-c', '3', '-i', '0.1', '-W', '5', '10.0.0.2']);
    expect(ping.stdout).toContain('3 received');
  });
});
