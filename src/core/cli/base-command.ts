// What every command shares: the connection to overlayd, and how results, warnings and errors are shown.
import { Command, Flags } from '@oclif/core';
import type { Client } from '../rpc/client.ts';
import type { OverlayError } from '../rpc/errors.ts';
import { painter } from './colour.ts';
import { connectToDaemon } from './connect.ts';
import { toJson } from './json.ts';
import { hasFlag, printLines, reportFailure, reportJson, reportLines, toOverlayError, warningLine } from './report.ts';
import { COMMON_FLAGS } from './show/specification.ts';
import type { Paint } from './table.ts';

/** R is what --json shows. */
export abstract class BaseCommand<R> extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = {
    json: Flags.boolean({ summary: COMMON_FLAGS.json.summary, helpGroup: 'GLOBAL' }),
    'no-color': Flags.boolean({ summary: COMMON_FLAGS['no-color'].summary, helpGroup: 'GLOBAL' }),
  };

  abstract override run(): Promise<R>;

  protected connect(): Promise<Client> {
    return connectToDaemon(this.config, process.env);
  }

  /** Also under --json, which is about standard output. */
  override warn(input: Error | string): Error | string {
    printLines([warningLine(input instanceof Error ? input.message : input, this.#paint())]);
    return input;
  }

  /** For one of several objects that a command was given: it goes on with the next, and ends with status 1. */
  protected failWith(error: OverlayError): void {
    process.exitCode = 1;
    printLines(reportLines(error, undefined, this.#paint()));
  }

  protected override async catch(error: unknown): Promise<void> {
    process.exitCode = reportFailure(error, { json: this.jsonEnabled(), usage: this.#usage(), paint: this.#paint() });
  }

  /** oclif's own would colour it. */
  protected override logJson(json: unknown): void {
    process.stdout.write(`${toJson(json)}\n`);
  }

  /** oclif prints no result that is null, and a script that asked for JSON would read an empty file. */
  protected override async _run<T>(): Promise<T> {
    const result = await super._run<T>();
    if (result === null && this.jsonEnabled()) this.logJson(null);
    return result;
  }

  /** oclif's own would show the whole configuration for an error of its parser. */
  protected override toErrorJson(error: unknown): unknown {
    return reportJson(toOverlayError(error));
  }

  /** Read from what was typed, because an error of the parser is shown too. */
  #paint(): Paint | undefined {
    return this.jsonEnabled() || hasFlag(this.argv, '--no-color') ? undefined : painter('stderr', process.env);
  }

  #usage(): string | undefined {
    const { usage } = this.ctor;
    return typeof usage === 'string' ? usage : usage?.[0];
  }
}
