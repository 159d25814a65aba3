// The process that a show command runs in, for both paths: the same streams, the same connection, the same words of failure.
import type { Client } from '../../rpc/client.ts';
import { DEFAULT_TERMINAL_ROWS, MAX_NAME_CHARACTERS } from '../../util/limits.ts';
import { checkOperands } from '../checked-names.ts';
import { commandClock } from '../clock.ts';
import { painter } from '../colour.ts';
import { printLines, reportFailure, warningLines } from '../report.ts';
import type { ShowContext, ShowSpecification, Words } from './specification.ts';

/**
 * Runs one show command, and shows what went wrong. Never rejects.
 * @returns exit status
 */
export async function runShow(specification: ShowSpecification, words: Words<string>, connect: () => Promise<Client>): Promise<number> {
  const json = words.has('json');
  const plain = json || words.has('no-color') || words.has('parsable');
  let written = false;
  const errors = plain ? undefined : painter('stderr', process.env);
  const context: ShowContext = {
    json,
    heightRows: process.stdout.rows || DEFAULT_TERMINAL_ROWS,
    clock: commandClock,
    paint: plain ? undefined : painter('stdout', process.env),
    connect,
    write: (text) => {
      written = true;
      process.stdout.write(text);
    },
    warn: (text, advice) => printLines(warningLines(text, advice, errors)),
  };
  try {
    checkOperands(words.operands, MAX_NAME_CHARACTERS);
    return await specification.run(words, context);
  } catch (error) {
    // What has been printed of an array cannot be taken back, and an object behind it would be read by nobody.
    return reportFailure(error, { json: json && !written, usage: specification.usage, paint: errors });
  }
}
