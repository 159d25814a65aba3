// Makes the oclif command of a show command: the slow path, with help and with words for what was typed wrongly.
import { Args, type Command, Flags, type Interfaces } from '@oclif/core';
import { BaseCommand } from './base-command.ts';
import { runShow } from './show/context.ts';
import type { FlagSpecification, ShowSpecification } from './show/specification.ts';
import { wordsOf } from './show/words.ts';

type Given = Readonly<Record<string, boolean | string | readonly string[] | undefined>>;

export function showCommand(specification: ShowSpecification): Command.Class {
  const { summary, description, usage, operand } = specification;
  return class ShowCommand extends BaseCommand<void> {
    static override summary = summary;
    static override description = description;
    static override usage = usage;
    static override examples = specification.examples.map((example) => `<%= config.bin %> ${example}`);
    static override args = operand === undefined ? {} : { [operand.name]: oclifArgument(operand) };
    static override flags = oclifFlags(specification.flags);

    async run(): Promise<void> {
      const { args, flags } = await this.parse();
      const operands = operand === undefined ? [] : listOf((args as Given)[operand.name]);
      // OVERLAYADM_CONTENT_TYPE asks for JSON too.
      const values = valuesOf({ ...(flags as Given), json: this.jsonEnabled() });
      process.exitCode = await runShow(specification, wordsOf(operands, values), () => this.connect());
    }
  };
}

const oclifArgument = ({ description, multiple }: NonNullable<ShowSpecification['operand']>) =>
  multiple ? Args.string({ description, multiple: true, ignoreStdin: true }) : Args.string({ description, ignoreStdin: true });

function oclifFlags(flags: ShowSpecification['flags']) {
  return Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, oclifFlag(flag)]));
}

function oclifFlag({ char, aliases, value, multiple, summary }: FlagSpecification) {
  const common = {
    summary,
    ...(char === undefined ? {} : { char: char as Interfaces.AlphabetLowercase }),
    ...(aliases ? { aliases: [...aliases] } : {}),
  };
  if (value === undefined) return Flags.boolean(common);
  return multiple === true
    ? Flags.string({ ...common, helpValue: value, multiple: true, multipleNonGreedy: true })
    : Flags.string({ ...common, helpValue: value });
}

function valuesOf(flags: Given): ReadonlyMap<string, readonly string[]> {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined && value !== false);
  return new Map(given.map(([name, value]) => [name, value === true ? [] : listOf(value)]));
}

const listOf = (value: Given[string]): readonly string[] => (typeof value === 'string' ? [value] : Array.isArray(value) ? value : []);
