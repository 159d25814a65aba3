// Saved overlays on a disk: read as they were written, and never half, whenever the power fails, the process is killed or the disk is full.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Records } from '../../../src/core/overlay/records.ts';
import { formatRecord } from '../../../src/core/overlay/state-file.ts';
import { StateFiles } from '../../../src/core/overlay/state-files.ts';
import { FaultFs, LOSSES } from '../../helpers/fault-fs.ts';
import { overlayRecord, vnicRecord } from '../../helpers/overlay-record.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

const old = overlayRecord('overlay0', { id: 1 });
const next = overlayRecord('overlay0', { id: 2, vnics: [vnicRecord('vnic0')] });

function rig() {
  const run = temporaryFolder();
  const state = temporaryFolder();
  return { files: new StateFiles({ run, state }), run: join(run, 'overlays'), state: join(state, 'overlays') };
}

describe('state files', () => {
  it('come back, each place for itself, private to us, and are gone when they are removed', async () => {
    const { files, run, state } = rig();
    expect(await files.load('saved')).toEqual({ records: [], unreadable: [] });
    await files.write('saved', old);
    await files.write('saved', next);
    await files.write('up', old);
    await files.write('up', overlayRecord('overlay1'));
    expect(await files.load('saved')).toEqual({ records: [next], unreadable: [] });
    expect(await files.load('up')).toEqual({ records: [old, overlayRecord('overlay1')], unreadable: [] });
    expect(readdirSync(state)).toEqual(['overlay0.json']);
    const modes = [state, run, join(state, 'overlay0.json')].map((path) => statSync(path).mode & 0o777);
    expect(modes).toEqual([0o755, 0o700, 0o600]);
    await files.remove('up', 'overlay0');
    await files.remove('up', 'overlay0');
    expect(await files.load('up')).toMatchObject({ records: [{ name: 'overlay1' }] });
  });

  it('that cannot be read are kept as they are, and reported', async () => {
    const { files, state } = rig();
    await files.write('saved', old);
    const outside = join(temporaryFolder(), 'outside');
    writeFileSync(outside, formatRecord(overlayRecord('overlay4')));
    writeFileSync(join(state, 'overlay1.json'), formatRecord(overlayRecord('overlay1')).slice(0, -5));
    writeFileSync(join(state, 'overlay2.json'), '{"version": 7}');
    mkdirSync(join(state, 'overlay3.json'));
    symlinkSync(outside, join(state, 'overlay4.json'));
    writeFileSync(join(state, '.new-overlay5'), 'half');
    writeFileSync(join(state, 'README'), 'not ours');
    expect(await files.load('saved')).toEqual({
      records: [old],
      unreadable: [
        { name: 'overlay1', problem: `${join(state, 'overlay1.json')} is not whole: it is no JSON text` },
        { name: 'overlay2', problem: `${join(state, 'overlay2.json')} was written by a newer overlayadm (version 7)` },
        { name: 'overlay3', problem: `${join(state, 'overlay3.json')} is not a regular file` },
        { name: 'overlay4', problem: `${join(state, 'overlay4.json')} is a symbolic link` },
      ],
    });
    expect(readdirSync(state)).toEqual(['README', 'overlay0.json', 'overlay1.json', 'overlay2.json', 'overlay3.json', 'overlay4.json']);
  });

  it('are written beside a link, never through it', async () => {
    const { files, state } = rig();
    await files.load('saved');
    const outside = join(temporaryFolder(), 'outside');
    writeFileSync(outside, 'theirs');
    for (const name of ['overlay0.json', '.new-overlay0']) symlinkSync(outside, join(state, name));
    await files.write('saved', old);
    expect(readFileSync(outside, 'utf8')).toBe('theirs');
    expect(await files.load('saved')).toEqual({ records: [old], unreadable: [] });
  });

  it('are only in a directory of ours', async () => {
    const { files, state } = rig();
    symlinkSync(temporaryFolder(), state);
    await expect(files.load('saved')).rejects.toMatchObject({ code: 'STATE_UNREADABLE', message: expect.stringContaining('is not a directory') });
    await expect(files.write('saved', old)).rejects.toThrow('is not a directory');
  });

  it.each(['', '.', '..', '../overlay0', 'a/b', 'a\0b', '.new-overlay0'])('have no name like %j', async (name) => {
    const { files } = rig();
    await files.load('saved');
    await expect(files.remove('saved', name)).rejects.toThrow('cannot be the name');
  });

  it('that could not be read back are not written', async () => {
    const { files } = rig();
    await files.write('saved', old);
    await expect(files.write('saved', { ...next, vnetid: -1 })).rejects.toThrow('overlay.vnetid');
    expect(await files.load('saved')).toEqual({ records: [old], unreadable: [] });
  });
});

describe('a write that is stopped', () => {
  async function written(): Promise<{ fault: FaultFs; files: StateFiles; steps: readonly string[] }> {
    const fault = new FaultFs();
    const files = new StateFiles({ run: '/run', state: '/state' }, fault.fs);
    await files.write('saved', old);
    fault.steps.length = 0;
    await files.write('saved', next);
    const steps = [...fault.steps];
    await files.write('saved', old);
    return { fault, files, steps };
  }

  it('has its data on the disk before its name, and its name before it says so', async () => {
    const { steps } = await written();
    const last = steps.slice(steps.indexOf('write'));
    expect(last).toEqual(['write', 'write', 'sync', 'rename', 'open', 'sync']);
  });

  it.each(LOSSES)('at any step by a failing power leaves the old or the new record; lost: %s', async (loss) => {
    const { steps } = await written();
    for (let step = 0; step <= steps.length; step++) {
      const { fault, files } = await written();
      fault.failAt(step);
      const done = await files.write('saved', next).then(
        () => true,
        () => false,
      );
      fault.recover(loss);
      const { records, unreadable } = await new StateFiles({ run: '/run', state: '/state' }, fault.fs).load('saved');
      expect(unreadable).toEqual([]);
      expect(records.length).toBe(1);
      expect([old, next]).toContainEqual(records[0]);
      expect(done).toBe(step === steps.length);
      if (done) expect(records).toEqual([next]);
    }
  });

  it.each(['ENOSPC', 'EIO'])('at any step by one %s is refused, and old is what is read and what is gone on with', async (code) => {
    const { steps } = await written();
    for (let step = 0; step < steps.length; step++) {
      const { fault, files } = await written();
      const records = new Records(files);
      await records.load();
      fault.failAt(step, code, true);
      const change = records.change('overlay0', false, () => next);
      await expect(change, `step ${step}: ${steps[step]}`).rejects.toMatchObject({ code: 'STATE_NOT_SAVED', message: expect.stringContaining(code) });
      expect(records.get('saved', 'overlay0')).toEqual(old);
      fault.recover('nothing');
      expect(await files.load('saved')).toEqual({ records: [old], unreadable: [] });
      await records.change('overlay0', false, () => next);
      expect(records.get('saved', 'overlay0')).toEqual(next);
    }
  });

  it('by kill -9, again and again, leaves a whole record, and never an older one than was said to be there', { timeout: 60_000 }, async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o700);
    const files = new StateFiles({ run: folder, state: folder });
    const program = fileURLToPath(new URL('../../helpers/state-writer-child.ts', import.meta.url));
    for (let round = 0; round < 8; round++) {
      const first = round * 1_000_000;
      const child = fork(program, [folder, String(first)], { execArgv: ['--no-warnings'] });
      await once(child, 'message');
      await sleep(Math.random() * 20);
      child.kill('SIGKILL');
      await once(child, 'exit');
      const { records, unreadable } = await files.load('saved');
      expect(unreadable).toEqual([]);
      expect(records[0]?.id).toBeGreaterThanOrEqual(first);
    }
    expect(readdirSync(join(folder, 'overlays'))).toEqual(['overlay0.json']);
  });
});
