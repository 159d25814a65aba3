// A show command as plain data: what oclif makes a command of, and what the thin path parses and runs without oclif.
import type { Client } from '../../rpc/client.ts';
import type { Clock } from '../../util/clock.ts';
import type { Paint } from '../table.ts';

export interface FlagSpecification {
  readonly char?: string;
  /** Other long names. */
  readonly aliases?: readonly string[];
  /** What the help calls its value; a flag without it takes none. */
  readonly value?: string;
  /** May it be given several times? Only for flags with a value. */
  readonly multiple?: boolean;
  readonly summary: string;
}

/** What -o chooses from. */
export interface OutputTable {
  /** The flag that shows it; the table without one is shown when no other is asked for. */
  readonly flag?: string;
  readonly fields: readonly { readonly name: string }[];
}

export interface OperandSpecification {
  readonly name: string;
  readonly description: string;
  readonly multiple: boolean;
}

/** What was typed, each flag under its first name. */
export interface Words<Flag extends string> {
  readonly operands: readonly string[];
  has(flag: Flag): boolean;
  text(flag: Flag): string | undefined;
  texts(flag: Flag): readonly string[];
}

export interface ShowSpecification<Flag extends string = string> {
  readonly id: string;
  readonly summary: string;
  readonly description: string;
  /** Without the name of the program. */
  readonly usage: string;
  /** The same. */
  readonly examples: readonly string[];
  readonly operand?: OperandSpecification;
  readonly flags: Readonly<Record<Flag, FlagSpecification>>;
  readonly tables: readonly OutputTable[];
  /** @returns exit status. @throws OverlayError when nothing more can be shown. */
  run(words: Words<Flag>, context: ShowContext): Promise<number>;
}

/** Names of fields as they are typed. */
export const fieldNames = ({ fields }: OutputTable): readonly string[] => fields.map(({ name }) => name.toLowerCase());

/** Flags that every command has. */
export const COMMON_FLAGS = {
  json: { summary: 'Print JSON.' },
  'no-color': { summary: 'Print without colours.' },
} as const satisfies Readonly<Record<string, FlagSpecification>>;

/** What a show command needs of the process it runs in. */
export interface ShowContext {
  readonly json: boolean;
  /** Of the terminal, or what stands for it. */
  readonly heightRows: number;
  readonly clock: Clock;
  /** For standard output; undefined where it stays plain. */
  readonly paint: Paint | undefined;
  connect(): Promise<Client>;
  write(text: string): void;
  /** `advice`: what to do, on lines of its own. */
  warn(text: string, advice?: string): void;
}
