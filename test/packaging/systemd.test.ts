// The files for systemd, udev and NetworkManager: systemd takes them, and they say what the code says.
import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OPERATORS, READERS } from '../../src/core/daemon/roles.ts';
import { CONTROL } from '../../src/core/daemon/service-manager.ts';
import { formatMark } from '../../src/core/linux/marks.ts';
import { serviceUser } from '../../src/core/lookup/rights.ts';
import { DIRECTORY_VARIABLES, directoriesOf, socketPath } from '../../src/core/util/directories.ts';
import { MAX_HELD_DESCRIPTORS, STOP_TIMEOUT_MS } from '../../src/core/util/limits.ts';
import { must, run } from '../helpers/process.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { temporaryFolder } from '../helpers/temporary.ts';
import { readUnit } from '../helpers/unit-file.ts';

const file = (name: string): string => resolve('systemd', name);
const service = readUnit(file('overlayd.service'));
const socket = readUnit(file('overlayd.socket'));
const one = (unit: ReadonlyMap<string, readonly string[]>, key: string): string => {
  const values = unit.get(key) ?? [];
  expect([key, values.length]).toEqual([key, 1]);
  return values[0] ?? '';
};
/** The lines that are no comment, each as its fields. */
const fields = (name: string): readonly (readonly string[])[] =>
  readFileSync(file(name), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.match(/"[^"]*"|\S+/g) ?? []);
const directories = directoriesOf({});

describe('overlayd.service', () => {
  it('has the capabilities of the design and no others', () => {
    const names = one(service, 'Service.CapabilityBoundingSet').split(' ');
    expect(names).toEqual(['CAP_NET_ADMIN', 'CAP_SYS_ADMIN', 'CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP', 'CAP_KILL', 'CAP_NET_BIND_SERVICE']);
    expect(service.has('Service.AmbientCapabilities')).toBe(false);
  });

  it('starts the programs of this package', () => {
    const { bin } = JSON.parse(readFileSync('package.json', 'utf8'));
    const programs = [one(service, 'Service.ExecStart'), one(service, 'Service.ExecStartPost')].map((line) => line.replace(/^-/, '').split(' ')[0]);
    expect(programs).toEqual(['/usr/bin/overlayd', '/usr/bin/overlayadm']);
    expect(Object.keys(bin).sort()).toEqual(programs.map((path) => basename(path ?? '')).sort());
    const { commands } = JSON.parse(readFileSync('oclif.manifest.json', 'utf8'));
    expect(Object.keys(commands)).toContain(one(service, 'Service.ExecStartPost').split(' ')[1]);
  });

  it('holds as many descriptors as overlayd gives away, and may open more', () => {
    expect(Number(one(service, 'Service.FileDescriptorStoreMax'))).toBe(MAX_HELD_DESCRIPTORS);
    expect(Number(one(service, 'Service.LimitNOFILE'))).toBeGreaterThan(2 * MAX_HELD_DESCRIPTORS);
    expect(one(service, 'Service.Environment')).toBe('OVERLAYD_HOLDER=systemd');
  });

  it('knows the exit statuses of overlayd, and how long it takes to stop', () => {
    const [, list] = /const EXIT = \{([^}]*)\}/.exec(readFileSync('src/core/daemon/main.ts', 'utf8')) ?? [];
    const status = new Map((list ?? '').split(',').map((part) => part.trim().split(': ') as [string, string]));
    expect(one(service, 'Service.RestartForceExitStatus')).toBe(status.get('restart'));
    expect(one(service, 'Service.RestartPreventExitStatus')).toBe(`${status.get('usage')} ${status.get('locked')}`);
    expect(Number.parseInt(one(service, 'Service.TimeoutStopSec'), 10) * 1000).toBeGreaterThan(STOP_TIMEOUT_MS);
  });

  it('has the directories of overlayd, and gives none of them up', () => {
    expect(`/run/${one(service, 'Service.RuntimeDirectory')}`).toBe(directories.run);
    expect(`/var/lib/${one(service, 'Service.StateDirectory')}`).toBe(directories.state);
    expect(`/etc/${one(service, 'Service.ConfigurationDirectory')}`).toBe(directories.config);
    expect(one(service, 'Service.RuntimeDirectoryPreserve')).toBe('yes');
    const [, cache] = /return '(\/var\/cache\/[^']+)'/.exec(readFileSync('bin/compile-cache.cjs', 'utf8')) ?? [];
    expect(`/var/cache/${one(service, 'Service.CacheDirectory')}`).toBe(cache);
    expect(one(service, 'Service.Group')).toBe(READERS);
  });

  it.each([
    'PrivateTmp',
    'PrivateDevices',
    'ProtectKernelTunables',
    'ProtectProc',
    'ProcSubset',
    'MemoryDenyWriteExecute',
    'MountFlags',
    'PrivateUsers',
  ])('leaves %s= out, and says why', (key) => {
    expect(service.has(`Service.${key}`)).toBe(false);
    expect(readFileSync(file('overlayd.service'), 'utf8')).toMatch(new RegExp(`^# No .*${key}=`, 'm'));
  });
});

it('overlayd.socket is the socket that commands connect to, and overlayd finds', () => {
  expect(one(socket, 'Socket.ListenStream')).toBe(socketPath(directories));
  expect(one(socket, 'Socket.FileDescriptorName')).toBe(CONTROL);
  expect([one(socket, 'Socket.SocketMode'), one(socket, 'Socket.SocketGroup')]).toEqual(['0660', READERS]);
});

it('directories have the same owners and modes at boot as under the service', () => {
  const lines = fields('overlayadm.tmpfiles.conf');
  expect(lines.map(([type, path, mode, user, group]) => [type, path, mode, user, group])).toEqual([
    ['d', DIRECTORY_VARIABLES.run.fallback, one(service, 'Service.RuntimeDirectoryMode'), 'root', READERS],
    ['d', DIRECTORY_VARIABLES.state.fallback, one(service, 'Service.StateDirectoryMode'), 'root', READERS],
    ['d', DIRECTORY_VARIABLES.data.fallback, '0755', 'root', 'root'],
    ['d', DIRECTORY_VARIABLES.config.fallback, '0755', 'root', 'root'],
  ]);
});

it('links are known by the mark that overlayd gives them', () => {
  const [, pattern] = /ATTR\{ifalias\}!="([^"]+)"/.exec(readFileSync(file('70-overlayadm.rules'), 'utf8')) ?? [];
  const glob = new RegExp(`^${(pattern ?? '').replaceAll('?', '.').replaceAll('*', '.*')}$`);
  expect(formatMark({ stateId: '0123456789ab', name: 'net23' })).toMatch(glob);
  expect('uplink to overlayadm:x:y').not.toMatch(glob);
  for (const [name, kind] of [['05-overlayadm-overlay.network', 'overlay'] as const, ['80-overlayadm-vnic.network', 'vnic'] as const]) {
    expect(readUnit(file(name)).get('Match.Property')).toEqual([`ID_OVERLAYADM=${kind}`]);
    expect(readUnit(file(name)).get('Link.Unmanaged')).toEqual(['yes']);
    expect(readFileSync(file('70-overlayadm.rules'), 'utf8')).toContain(`ENV{ID_OVERLAYADM}="${kind}"`);
  }
});

/** Copies of the units that start the programs of this checkout, which need not be installed. */
function copyUnits(): readonly string[] {
  const folder = temporaryFolder();
  return ['overlayd.service', 'overlayd.socket'].map((name) => {
    const path = join(folder, name);
    writeFileSync(path, readFileSync(file(name), 'utf8').replaceAll('/usr/bin/', `${resolve('bin')}/`));
    return path;
  });
}

skipUnless({ commands: ['systemd-analyze'] })('systemd', () => {
  it('knows every setting of the units', async () => {
    const result = await run('systemd-analyze', ['verify', '--man=no', ...copyUnits()]);
    expect(result).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  it('finds the service as closed as it can be', async () => {
    const [path = ''] = copyUnits();
    const { stdout } = await must('systemd-analyze', ['security', '--offline=true', '--no-pager', path]);
    const [, exposure] = /Overall exposure level for overlayd\.service: ([0-9.]+)/.exec(stdout) ?? [];
    expect(Number(exposure)).toBeLessThanOrEqual(4);
  });
});

skipUnless({ root: true, commands: ['systemd-sysusers', 'systemd-tmpfiles'] })('an installation', () => {
  const root = temporaryFolder();
  const there = (path: string): string => join(root, path);
  const groupOf = (name: string): number => {
    const line = readFileSync(there('etc/group'), 'utf8')
      .split('\n')
      .find((text) => text.startsWith(`${name}:`));
    return Number(line?.split(':')[2]);
  };

  it('has an account for plugin hosts, outside the groups that may use the socket', async () => {
    mkdirSync(there('usr/lib/sysusers.d'), { recursive: true });
    mkdirSync(there('etc'));
    cpSync(file('overlayadm.sysusers.conf'), there('usr/lib/sysusers.d/overlayadm.conf'));
    await must('systemd-sysusers', [`--root=${root}`]);
    const { uid, gid } = serviceUser(readFileSync(there('etc/passwd'), 'utf8'), readFileSync(there('etc/group'), 'utf8'));
    expect(uid).not.toBe(65534);
    expect([READERS, OPERATORS].map(groupOf)).not.toContain(gid);
    for (const name of [READERS, OPERATORS]) expect(groupOf(name)).toBeGreaterThan(0);
  });

  it('has directories with their final rights', async () => {
    mkdirSync(there('usr/lib/tmpfiles.d'), { recursive: true });
    cpSync(file('overlayadm.tmpfiles.conf'), there('usr/lib/tmpfiles.d/overlayadm.conf'));
    await must('systemd-tmpfiles', ['--create', `--root=${root}`, 'overlayadm.conf']);
    const stats = statSync(there(directories.run));
    expect([stats.mode & 0o7777, stats.uid, stats.gid]).toEqual([0o750, 0, groupOf(READERS)]);
    for (const path of [directories.state, directories.data, directories.config]) expect(statSync(there(path)).mode & 0o7777).toBe(0o755);
    expect(dirname(directories.data)).toBe(directories.state);
  });
});

it('is in the package', () => {
  expect(JSON.parse(readFileSync('package.json', 'utf8')).files).toContain('systemd');
});
