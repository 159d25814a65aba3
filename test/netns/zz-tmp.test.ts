import { expect, it } from 'vitest';
import { skipUnless } from '../helpers/requirements.ts';
import { twoHosts } from '../helpers/netns.ts';
import { start } from '../helpers/process.ts';
skipUnless({ root: true, commands: ['nosuchthing'] })('needs a thing', () => { it('x', () => {}); it('y', () => {}); });
skipUnless({ root: true })('hosts', () => {
  it('ping', async () => {
    const [a, b] = await twoHosts({ underlayMtu: 1600 });
    expect((await a.run('ping', ['-c1', '-W1', b.v4])).status).toBe(0);
    expect((await a.run('ping', ['-c1', '-W1', b.v6])).status).toBe(0);
    const blue = await a.vnicNamespace('blue');
    expect((await blue.run('ip', ['link'])).stdout).toContain('LOOPBACK,UP');
    a.start('sleep', ['1000']);
    const s = start('sh', ['-c', 'echo hi; sleep 1000']);
    await s.printed('hi');
    if (process.env.HANG) await new Promise(() => {});
  });
});
