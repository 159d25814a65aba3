// Where a text is not JSON (RFC 8259): JSON.parse() does not always say, and lets one key stand twice.

const SPACE = /[ \t\r\n]*/y;
// `unescaped` of RFC 8259 §7, in UTF-16.
const STRING = /"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[ !#-[\]-\uffff]*)*"/y;
const LITERAL = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const MARK = /[{}[\],:]/y;

export interface JsonMistake {
  /** Index in the text. */
  readonly at: number;
  readonly reason: string;
}

/** What may come next, in the words of the message. */
type Expected =
  | 'a value'
  | 'a value or ]'
  | 'a key in double quotes'
  | 'a key in double quotes or }'
  | ':'
  | ', or }'
  | ', or ]'
  | 'the end of the file';

/** undefined when `text` is JSON in which no object has a key twice. Total, and not recursive. */
export function whyNotJson(text: string): JsonMistake | undefined {
  const reader = new Reader(text);
  for (;;) {
    reader.take(SPACE);
    if (reader.isAtEnd) return undefined;
    const { at, expected } = reader;
    const isWrong = !reader.step();
    if (isWrong) return { at, reason: `expected ${expected}` };
    if (reader.isRepeated) return { at, reason: 'this key is there twice' };
  }
}

class Reader {
  readonly #text: string;
  /** Of each open bracket, from the outside: the keys seen, undefined for an array. */
  readonly #open: (Set<string> | undefined)[] = [];
  at = 0;
  expected: Expected = 'a value';
  isRepeated = false;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.expected === 'the end of the file' && this.at === this.#text.length;
  }

  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.#text)?.[0];
    this.at += found?.length ?? 0;
    return found;
  }

  /** Takes one token; false when it is none, or not one that may come here. */
  step(): boolean {
    const { expected } = this;
    const string = this.take(STRING);
    if (string !== undefined && expected.startsWith('a key')) return this.#key(JSON.parse(string));
    if (string !== undefined || this.take(LITERAL) !== undefined) return expected.startsWith('a value') && this.#afterValue();
    return this.#mark(this.take(MARK));
  }

  #key(key: string): true {
    const keys = this.#open.at(-1);
    this.isRepeated = keys?.has(key) === true;
    keys?.add(key);
    this.expected = ':';
    return true;
  }

  #mark(mark: string | undefined): boolean {
    const { expected } = this;
    if ((mark === '}' || mark === ']') && expected.endsWith(` or ${mark}`)) {
      this.#open.pop();
      return this.#afterValue();
    }
    if ((mark === '{' || mark === '[') && expected.startsWith('a value')) {
      this.#open.push(mark === '{' ? new Set() : undefined);
      this.expected = mark === '{' ? 'a key in double quotes or }' : 'a value or ]';
      return true;
    }
    if (mark === ':' && expected === ':') this.expected = 'a value';
    else if (mark === ',' && expected.startsWith(', or')) this.expected = this.#open.at(-1) === undefined ? 'a value' : 'a key in double quotes';
    else return false;
    return true;
  }

  #afterValue(): true {
    if (this.#open.length === 0) this.expected = 'the end of the file';
    else this.expected = this.#open.at(-1) === undefined ? ', or ]' : ', or }';
    return true;
  }
}
