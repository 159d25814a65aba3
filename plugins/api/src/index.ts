// @overlayadm/api: everything a plugin needs to know of overlayadm, and nothing else.
export * from './address.ts';
export * from './destination.ts';
export * from './encap.ts';
export * from './errors.ts';
export * from './lookup.ts';
export * from './property.ts';

/** Number of this contract; a plugin's package.json names the one it was written for under `overlayadm.api`. */
export const API_VERSION = 1;
