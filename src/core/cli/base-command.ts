// What every command shares: the connection to overlayd, tables, and how warnings and errors are shown.
import { join } from 'node:path';
import { Command } from '@oclif/core';
import type { Client } from '../rpc/client.ts';
import type { OverlayError } from '../rpc/errors.ts';
import { directoriesOf } from '../util/directories.ts';
import { DEFAULT_TERMINAL_ROWS } from '../util/limits.ts';
import { connectOrStart } from './autostart.ts';
import { commandClock } from './clock.ts';
import { exitStatusOf, reportJson, reportLines, stackLines, toOverlayError, warningLine } from './report.ts';
import { type Field, formatTable } from './table.ts';

/** R is what --json shows. */
export abstract class BaseCommand<R> extends Command {
  static override enableJsonFlag = true;

  abstract override run(): Promise<R>;

  protected connect(): Promise<Client> {
    return connectOrStart({
      directories: directoriesOf(process.env),
      environment: process.env,
      program: join(this.config.root, 'bin/overlayd'),
      version: this.config.version,
      clock: commandClock,
    });
  }

  protected printTable<T>(fields: readonly Field<T>[], rows: readonly T[]): void {
    const lines = formatTable(fields, rows, { kind: 'human', heightRows: process.stdout.rows || DEFAULT_TERMINAL_ROWS });
    if (lines.length > 0) this.log(lines.join('\n'));
  }

  /** Also under --json, which is about standard output. */
  override warn(input: Error | string): Error | string {
    printError([warningLine(input instanceof Error ? input.message : input)]);
    return input;
  }

  /** For one of several objects that a command was given: it goes on with the next, and ends with status 1. */
  protected failWith(error: OverlayError): void {
    process.exitCode = 1;
    printError(reportLines(error, undefined));
  }

  /** The same for an object that cannot be shown. */
  protected warnAndFail(text: string): void {
    process.exitCode = 1;
    this.warn(text);
  }

  protected override async catch(error: unknown): Promise<void> {
    const shown = toOverlayError(error);
    process.exitCode = exitStatusOf(shown);
    if (this.jsonEnabled()) this.logJson(reportJson(shown));
    else printError(reportLines(shown, this.#usage()));
    printError(stackLines(error));
  }

  /** oclif's own would show the whole configuration for an error of its parser. */
  protected override toErrorJson(error: unknown): unknown {
    return reportJson(toOverlayError(error));
  }

  #usage(): string | undefined {
    const { usage } = this.ctor;
    return typeof usage === 'string' ? usage : usage?.[0];
  }
}

function printError(lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`${line}\n`);
}
