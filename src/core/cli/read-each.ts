// Reads something of several objects, in their order: one that cannot be read does not hide the others.
import { OverlayError } from '../rpc/errors.ts';
import { SHOW_REQUESTS_AT_ONCE } from '../util/limits.ts';
import { failureOf } from './report.ts';

export interface Names {
  readonly names: readonly string[];
  /** Were they typed? One that is not there and that nobody asked for was deleted since the list was made. */
  readonly typed: boolean;
  /** What dladm calls the failure to find one. */
  missing(name: string): string;
  failed(text: string, advice?: string): void;
}

/**
 * Asks for some at once, and hands over the result of each in turn.
 * @throws OverlayError when overlayd itself cannot be asked
 */
export async function readEach<T>(each: Names, read: (name: string) => Promise<T>, take: (result: T) => void): Promise<void> {
  for (let at = 0; at < each.names.length; at += SHOW_REQUESTS_AT_ONCE) {
    const names = each.names.slice(at, at + SHOW_REQUESTS_AT_ONCE);
    const results = await Promise.allSettled(names.map(read));
    for (const [index, result] of results.entries()) {
      if (result.status === 'fulfilled') take(result.value);
      else tell(each, names[index] ?? '', result.reason);
    }
  }
}

/** Work on one of them that does not end in a single result. @throws as readEach() */
export async function attempt(each: Names, name: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    tell(each, name, error);
  }
}

function tell({ typed, missing, failed }: Names, name: string, error: unknown): void {
  if (!isOfObject(error)) throw error;
  if (!isMissing(error)) return failed(failureOf('failed to show', name, error.message), error.advice);
  if (typed) failed(missingText(name, error.message, missing));
}

/** overlayd may have said more than that there is no such object: `lo is not an overlay`. */
function missingText(name: string, message: string, missing: (name: string) => string): string {
  return message.startsWith(`${name}: `) ? `${missing(name)}${message.slice(name.length)}` : message;
}

/** Errors of the connection would come again with every further name. */
function isOfObject(error: unknown): error is OverlayError {
  return OverlayError.is(error) && !error.code.startsWith('RPC_') && error.code !== 'NOT_PERMITTED' && error.code !== 'INTERNAL';
}

const MISSING = ['OVERLAY_NOT_FOUND', 'VNIC_NOT_FOUND', 'LINK_NOT_FOUND'];
export const isMissing = (error: unknown): boolean => OverlayError.is(error) && MISSING.includes(error.code);

/** dladm's words for an overlay or a VNIC, and for a link. */
export const failedToFind = (name: string): string => `failed to find ${name}`;
export const linkNotValid = (name: string): string => `link ${name} is not valid`;
export const NOT_FOUND = 'object not found';
