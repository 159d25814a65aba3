// JSON for standard output: plain on every terminal, whatever text of other people is in it.

/** Indented by two, without the last line feed. */
export const toJson = (value: unknown): string => harmless(JSON.stringify(value, null, 2));

/** On one line, without the line feed. */
export const toJsonLine = (value: unknown): string => harmless(JSON.stringify(value));

/** JSON escapes the control characters below the blank only; a terminal obeys some of the others too. */
const harmless = (json: string): string =>
  json.replace(/[\u007f-\u009f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
