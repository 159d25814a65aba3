// A strict JSON reader (RFC 8259) that keeps the line of every key and value, and never says what it read.

/** Nesting that is followed. The format has two levels; the rest is room for reserved keys. Also bounds the stack. */
export const MAX_DEPTH = 64;

/** Values that are kept, of any kind. More than the largest file that is read holds when it is one of mappings; more would only fill the memory. */
export const MAX_VALUES = 1_000_000;

export interface JsonMember {
  readonly key: string;
  readonly keyLine: number;
  readonly value: JsonValue;
}

/** `line` counts from 1, and is where the value begins. Members keep their order, and repeated keys are all there. */
export type JsonValue =
  | { readonly kind: 'object'; readonly line: number; readonly members: readonly JsonMember[] }
  | { readonly kind: 'array'; readonly line: number; readonly items: readonly JsonValue[] }
  | { readonly kind: 'string'; readonly line: number; readonly value: string }
  | { readonly kind: 'number'; readonly line: number; readonly value: number }
  | { readonly kind: 'boolean'; readonly line: number; readonly value: boolean }
  | { readonly kind: 'null'; readonly line: number };

/** What was expected, from a fixed set of sentences: no part of the text is ever in it. */
export interface JsonProblem {
  readonly line: number;
  readonly problem: string;
}

export type JsonReading = { readonly kind: 'ok'; readonly value: JsonValue } | ({ readonly kind: 'error' } & JsonProblem);

/** Ends the reading from any depth; never leaves this file. */
class Refusal extends Error {}

const NO_VALUE = 'expected a value, the file ends here';
const NO_OBJECT = 'expected a JSON object, which begins with {';
const [TAB, LINE_FEED, CARRIAGE_RETURN, SPACE, QUOTE, BACKSLASH] = [0x09, 0x0a, 0x0d, 0x20, 0x22, 0x5c];

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const HEX = /[0-9a-fA-F]{4}/y;
const ESCAPES: Readonly<Record<string, string>> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

class Reader {
  readonly #text: string;
  #at = 0;
  #values = 0;
  line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  document(): JsonValue {
    const value = this.#value(0);
    this.#end();
    return value;
  }

  /** The members of an object that is the whole text. */
  *documentMembers(): Generator<JsonMember, undefined> {
    this.#space();
    if (this.#at === this.#text.length) throw new Refusal(NO_VALUE);
    if (this.#text[this.#at] !== '{') throw new Refusal(NO_OBJECT);
    yield* this.#eachMember(0);
    this.#end();
  }

  #end(): void {
    this.#space();
    if (this.#at < this.#text.length) throw new Refusal('expected the end of the file');
  }

  #space(): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === LINE_FEED) this.line++;
      else if (code !== SPACE && code !== TAB && code !== CARRIAGE_RETURN) return;
    }
  }

  /** Takes the character when it is the next one that is no white space. */
  #take(char: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) throw new Refusal(`values are nested too deeply, at most ${MAX_DEPTH} levels are read`);
    if (++this.#values > MAX_VALUES) throw new Refusal(`there are too many values, at most ${MAX_VALUES} are read`);
    this.#space();
    const line = this.line;
    const char = this.#text[this.#at];
    if (char === undefined) throw new Refusal(NO_VALUE);
    if (char === '{') return { kind: 'object', line, members: [...this.#eachMember(depth)] };
    if (char === '[') return { kind: 'array', line, items: this.#items(depth) };
    if (char === '"') return { kind: 'string', line, value: this.#string() };
    if (char === '-' || (char >= '0' && char <= '9')) return { kind: 'number', line, value: this.#number() };
    if (this.#word('true')) return { kind: 'boolean', line, value: true };
    if (this.#word('false')) return { kind: 'boolean', line, value: false };
    if (this.#word('null')) return { kind: 'null', line };
    throw new Refusal(depth === 0 ? NO_OBJECT : 'expected a JSON value');
  }

  *#eachMember(depth: number): Generator<JsonMember, undefined> {
    this.#at++;
    if (this.#take('}')) return;
    let isFirst = true;
    do {
      this.#space();
      const keyLine = this.line;
      if (this.#text[this.#at] !== '"') throw new Refusal(isFirst ? 'expected a key in double quotes or }' : 'expected a key in double quotes');
      isFirst = false;
      const key = this.#string();
      if (!this.#take(':')) throw new Refusal('expected : after a key');
      yield { key, keyLine, value: this.#value(depth + 1) };
    } while (this.#take(','));
    if (!this.#take('}')) throw new Refusal('expected , or } after a value');
  }

  #items(depth: number): JsonValue[] {
    const items: JsonValue[] = [];
    this.#at++;
    if (this.#take(']')) return items;
    do items.push(this.#value(depth + 1));
    while (this.#take(','));
    if (!this.#take(']')) throw new Refusal('expected , or ] after a value');
    return items;
  }

  #string(): string {
    let value = '';
    let start = ++this.#at;
    for (; ; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (Number.isNaN(code)) throw new Refusal('a string has no closing double quote');
      if (code < SPACE) throw new Refusal('a string has a line break or another control character in it');
      if (code !== QUOTE && code !== BACKSLASH) continue;
      value += this.#text.slice(start, this.#at);
      if (code === QUOTE) break;
      value += this.#escape();
      start = this.#at + 1;
    }
    this.#at++;
    return value;
  }

  /** Behind a backslash; leaves the position on the last character of the escape. */
  #escape(): string {
    const char = this.#text[++this.#at] ?? '';
    if (char !== 'u') {
      if (!Object.hasOwn(ESCAPES, char)) throw new Refusal('a string has an unknown escape in it');
      return ESCAPES[char] as string;
    }
    HEX.lastIndex = this.#at + 1;
    const digits = HEX.exec(this.#text)?.[0];
    if (digits === undefined) throw new Refusal('expected four hexadecimal digits after \\u');
    this.#at += 4;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  #number(): number {
    NUMBER.lastIndex = this.#at;
    const digits = NUMBER.exec(this.#text)?.[0];
    if (digits === undefined) throw new Refusal('expected a digit after -');
    this.#at += digits.length;
    return Number(digits);
  }

  #word(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }
}

/** Total: any text gives a value or the line and the kind of the first mistake. */
export function readJson(text: string): JsonReading {
  const reader = new Reader(text);
  try {
    return { kind: 'ok', value: reader.document() };
  } catch (error) {
    return { kind: 'error', ...problemOf(error, reader) };
  }
}

/** @throws what is no mistake in the text */
function problemOf(error: unknown, { line }: Reader): JsonProblem {
  if (error instanceof Refusal) return { line, problem: error.message };
  throw error;
}

/**
 * The members of a text that is one object, each as soon as it is read: who has other things to do can do them in between.
 * Ends with the first mistake, if there is one. Total, as readJson.
 */
export function* readJsonMembers(text: string): Generator<JsonMember, JsonProblem | undefined> {
  const reader = new Reader(text);
  try {
    return yield* reader.documentMembers();
  } catch (error) {
    return problemOf(error, reader);
  }
}

function firstLineThatIsNoUtf8(bytes: Uint8Array): number {
  // A line feed is never part of a longer UTF-8 sequence, so each line can be judged alone.
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let line = 1, start = 0; ; line++) {
    const end = bytes.indexOf(0x0a, start);
    try {
      decoder.decode(bytes.subarray(start, end < 0 ? bytes.length : end));
    } catch {
      return line;
    }
    if (end < 0) return line;
    start = end + 1;
  }
}

/** The text of a file in UTF-8, with or without a byte order mark; or the first line that is not. */
export function readText(bytes: Uint8Array): string | JsonProblem {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return { line: firstLineThatIsNoUtf8(bytes), problem: 'the text is not UTF-8' };
  }
}
