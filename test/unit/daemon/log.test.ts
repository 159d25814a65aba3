// The log: lines of JSON, a file that is put aside when it is large, and a disk that is full.
import { existsSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { openLog } from '../../../src/core/daemon/log.ts';
import { MAX_LOG_BYTES, MAX_UNWRITTEN_LOG_BYTES } from '../../../src/core/util/limits.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

/** Memory in use when all garbage is gone, bytes. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}

const linesOf = (file: string): Record<string, unknown>[] =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('the log', () => {
  it('has one JSON object a line, written at once', () => {
    const file = join(temporaryFolder(), 'overlayd.log');
    const log = openLog(file);
    log.info({ overlay: 'overlay0' }, 'made');
    expect(linesOf(file)).toEqual([expect.objectContaining({ name: 'overlayd', pid: process.pid, overlay: 'overlay0', msg: 'made' })]);
    log.error({ error: 'two\nlines' }, 'failed');
    log.debug({}, 'nobody wants to read this');
    expect(linesOf(file).map(({ msg }) => msg)).toEqual(['made', 'failed']);
  });

  it('goes on where it was, and one that is large is put aside, one old one is kept', () => {
    const file = join(temporaryFolder(), 'overlayd.log');
    writeFileSync(file, '{"msg":"before"}\n');
    openLog(file).info({}, 'after');
    expect(linesOf(file).map(({ msg }) => msg)).toEqual(['before', 'after']);
    writeFileSync(`${file}.old`, 'older');
    truncateSync(file, MAX_LOG_BYTES + 1);
    openLog(file).info({}, 'anew');
    expect(linesOf(file).map(({ msg }) => msg)).toEqual(['anew']);
    expect(statSync(`${file}.old`).size).toBe(MAX_LOG_BYTES + 1);
  });

  it('on a full disk is lost without a word, and keeps no more than a bound', () => {
    const file = join(temporaryFolder(), 'overlayd.log');
    symlinkSync('/dev/full', file);
    const log = openLog(file);
    const before = heapBytes();
    const text = 'x'.repeat(1000);
    for (let i = 0; i < 20_000; i++) log.info({ i, text }, 'lost');
    // 20 MB were logged.
    expect(heapBytes() - before).toBeLessThan(16 * MAX_UNWRITTEN_LOG_BYTES);
    expect(existsSync(`${file}.old`)).toBe(false);
  });

  it('that cannot be opened is an error that names the file', () => {
    const file = join(temporaryFolder(), 'nosuch', 'overlayd.log');
    expect(() => openLog(file)).toThrow(file);
  });
});
