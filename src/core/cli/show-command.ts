// Makes the oclif command of a show command: the slow path, with help and with words for what was typed wrongly.
import { Args, type Command, Flags, type Interfaces } from '@oclif/core';
import { BaseCommand } from './base-command.ts';
import { runShow } from './show/context.ts';
import { type FlagSpecification, fieldNames, type ShowSpecification } from './show/specification.ts';
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
    static override flags = oclifFlags(specification);

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

function oclifFlags(specification: ShowSpecification) {
  const flags = Object.entries(specification.flags);
  return Object.fromEntries(flags.map(([name, flag]) => [name, oclifFlag(flag, name === 'output' ? fieldLines(specification) : undefined)]));
}

/** What -o takes, a line for each table. */
function fieldLines({ tables, flags }: ShowSpecification): string {
  const lines = tables.map((table) => {
    const char = table.flag === undefined ? undefined : flags[table.flag]?.char;
    return `${char === undefined ? 'Fields' : `With -${char}`}: ${fieldNames(table).join(', ')}.`;
  });
  return lines.join('\n');
}

function oclifFlag({ char, aliases, value, multiple, summary }: FlagSpecification, description: string | undefined) {
  const common = {
    summary,
    ...(description === undefined ? {} : { description }),
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
