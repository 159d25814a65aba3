// What every command shares: the connection to overlayd, and how results, warnings and errors are shown.
import { Command, Flags, type Interfaces } from '@oclif/core';
import type { Client } from '../rpc/client.ts';
import type { OverlayError } from '../rpc/errors.ts';
import { MAX_NAME_CHARACTERS } from '../util/limits.ts';
import { checkOperands } from './checked-names.ts';
import { painter } from './colour.ts';
import { connectToDaemon } from './connect.ts';
import { toJson } from './json.ts';
import { hasFlag, printLines, reportFailure, reportJson, reportLines, toOverlayError, warningLine, wordsBeforeDashes } from './report.ts';
import { COMMON_FLAGS } from './show/specification.ts';
import type { Paint } from './table.ts';
import { usageError } from './usage.ts';

type Output = Record<string, unknown>;

/** R is what --json shows. */
export abstract class BaseCommand<R> extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = {
    json: Flags.boolean({ summary: COMMON_FLAGS.json.summary, helpGroup: 'GLOBAL' }),
    'no-color': Flags.boolean({ summary: COMMON_FLAGS['no-color'].summary, helpGroup: 'GLOBAL' }),
  };

  protected readonly operandCharacters: number = MAX_NAME_CHARACTERS;

  abstract override run(): Promise<R>;

  /** Refuses also what oclif takes for something else: `--json=no` would be the option and an operand `no`. */
  protected override async parse<F extends Output, B extends Output, A extends Output>(
    options?: Interfaces.Input<F, B, A>,
    argv?: string[],
  ): Promise<Interfaces.ParserOutput<F, B, A>> {
    const parsed = await super.parse(options, argv);
    const flags: Readonly<Record<string, { readonly type: string }>> = { ...this.ctor.baseFlags, ...this.ctor.flags };
    const valued = wordsBeforeDashes(this.argv).find((word) => word.includes('=') && flags[word.slice(2, word.indexOf('='))]?.type === 'boolean');
    if (valued?.startsWith('--')) throw usageError(`option '${valued.slice(0, valued.indexOf('='))}' takes no value`);
    checkOperands(
      parsed.raw.flatMap((token) => (token.type === 'arg' ? [token.input] : [])),
      this.operandCharacters,
    );
    return parsed;
  }

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
