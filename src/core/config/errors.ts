// The errors of the configuration directory, each with the file it is about.
import { OverlayError } from '../util/errors.ts';

/** Where in a configuration: file, and the key or place in it. */
export interface ConfigurationPlace {
  readonly path: string;
  readonly key?: string;
  /** From 1. */
  readonly line?: number;
  readonly column?: number;
}

const objectOf = ({ path, key, line, column }: ConfigurationPlace): string =>
  `${path}${line === undefined ? '' : `, line ${line}, column ${column}`}${key === undefined ? '' : `: ${key}`}`;

/** The file does not hold what it should. */
export const invalid = (place: ConfigurationPlace, reason: string, advice: string): OverlayError =>
  new OverlayError('CONFIG_INVALID', `${objectOf(place)}: ${reason}`, { details: { ...place, reason }, advice });

/** The file is there, but cannot be read. */
export const unreadable = (path: string, reason: string, advice: string, cause?: unknown): OverlayError =>
  new OverlayError('CONFIG_UNREADABLE', `${path}: ${reason}`, { details: { path, reason }, advice, cause });

/** Somebody who may not configure overlayd could have written the file. */
export const unsafe = (path: string, reason: string, advice: string): OverlayError =>
  new OverlayError('CONFIG_UNSAFE', `${path}: ${reason}`, { details: { path, reason }, advice });
