// Snapshots as files: the old or the new one is there, what is no file of ours is not read, and nothing outside is written to.
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SnapshotDirectory } from '../../../src/core/daemon/snapshot-files.ts';
import { MAX_SNAPSHOT_BYTES } from '../../../src/core/util/limits.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

function rig() {
  const run = temporaryFolder();
  return { run, folder: join(run, 'targets'), files: new SnapshotDirectory({ run }) };
}
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const read = async (files: SnapshotDirectory, name: string): Promise<string | undefined> => {
  const found = await files.read(name);
  return found === undefined ? undefined : Buffer.from(found).toString();
};

describe('a snapshot', () => {
  it('is read as it was written last, whole, and not when there is none', async () => {
    const { folder, files } = rig();
    expect(await files.read('overlay0')).toBeUndefined();
    await files.write('overlay0', [bytes('one '), bytes('two '), bytes('three')]);
    expect(await read(files, 'overlay0')).toBe('one two three');
    await files.write('overlay0', [bytes('new')]);
    await files.write('overlay1', []);
    expect([await read(files, 'overlay0'), await read(files, 'overlay1')]).toEqual(['new', '']);
    expect(readdirSync(folder)).toEqual(['overlay0', 'overlay1']);
    await files.remove('overlay0');
    await files.remove('overlay0');
    expect(await files.read('overlay0')).toBeUndefined();
  });

  it('is for us alone: it says who talks to whom', async () => {
    const { folder, files } = rig();
    await files.write('overlay0', [bytes('x')]);
    expect([statSync(folder).mode & 0o777, statSync(join(folder, 'overlay0')).mode & 0o777]).toEqual([0o700, 0o600]);
  });

  it('that was begun and not finished leaves the old one, and does not stand in the way', async () => {
    const { folder, files } = rig();
    await files.write('overlay0', [bytes('old')]);
    writeFileSync(join(folder, 'overlay0.new'), 'half of a much longer sna');
    expect(await read(files, 'overlay0')).toBe('old');
    await files.write('overlay0', [bytes('new')]);
    expect([await read(files, 'overlay0'), readdirSync(folder)]).toEqual(['new', ['overlay0']]);
  });

  it('that is larger than any of ours is not read', async () => {
    const { folder, files } = rig();
    await files.write('overlay0', [bytes('x')]);
    truncateSync(join(folder, 'overlay0'), MAX_SNAPSHOT_BYTES + 1);
    expect(await files.read('overlay0')).toBeUndefined();
  });

  it('that is no file, or a link to one, is refused', async () => {
    const { run, folder, files } = rig();
    mkdirSync(join(folder, 'overlay0'), { recursive: true });
    writeFileSync(join(run, 'secret'), 'x');
    symlinkSync(join(run, 'secret'), join(folder, 'overlay1'));
    await expect(files.read('overlay0')).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(files.read('overlay1')).rejects.toMatchObject({ code: 'ELOOP' });
    symlinkSync(join(run, 'secret'), join(folder, 'overlay2.new'));
    await expect(files.write('overlay2', [bytes('y')])).rejects.toMatchObject({ code: 'ELOOP' });
    expect(readFileSync(join(run, 'secret'), 'utf8')).toBe('x');
  });

  it('cannot be written where there is no room for it', async () => {
    const { run, folder, files } = rig();
    writeFileSync(folder, 'a file in its place');
    await expect(files.write('overlay0', [bytes('x')])).rejects.toMatchObject({ code: 'ENOTDIR' });
    expect(readdirSync(run)).toEqual(['targets']);
  });
});
