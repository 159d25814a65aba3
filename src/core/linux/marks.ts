// The mark on everything we make: whose it is, and what it was called. A link without our mark is never touched.
import { MAX_LINK_ALIAS_BYTES } from '../util/limits.ts';
import type { LinkMark } from './types.ts';

const MARK = /^overlayadm:([A-Za-z0-9_-]{1,64}):([^\s:]+)$/;

/** Reads an alias; undefined for any that is not exactly a mark. */
export function parseMark(alias: string | undefined): LinkMark | undefined {
  const [, stateId, name] = MARK.exec(alias ?? '') ?? [];
  return stateId === undefined || name === undefined ? undefined : { stateId, name };
}

/** @throws RangeError for parts that parseMark() would not give back. */
export function formatMark(mark: LinkMark): string {
  const text = `overlayadm:${mark.stateId}:${mark.name}`;
  const back = parseMark(text);
  if (back?.stateId !== mark.stateId || back.name !== mark.name || Buffer.byteLength(text) > MAX_LINK_ALIAS_BYTES) {
    throw new RangeError(`${JSON.stringify(text)} cannot mark a link`);
  }
  return text;
}
