// The properties every overlay has, whatever its plugins (illumos overlay_prop.c, libvarpd_prop.c), in the order they are shown.
import { MTU } from '../util/limits.ts';
import type { PropertyDescription } from './description.ts';

const COMMON = { required: false, live: false, hasRefuse: false } as const;

/** Shown before the properties of the encapsulation. Their names have no prefix, but for varpd/id. */
export const OVERLAY_PROPERTIES: readonly PropertyDescription[] = [
  {
    ...COMMON,
    name: 'mtu',
    type: 'uint',
    access: 'rw',
    default: MTU.default,
    possible: { min: MTU.min, max: MTU.max },
    unit: 'bytes',
    live: true,
    summary: 'Largest packet inside a frame of the overlay',
  },
  { ...COMMON, name: 'vnetid', type: 'uint', access: 'rw', summary: 'Identifier of the overlay network on the wire' },
  { ...COMMON, name: 'encap', type: 'string', access: 'r-', summary: 'Encapsulation plugin' },
  {
    ...COMMON,
    name: 'datapath',
    type: 'string',
    access: 'rw',
    default: 'auto',
    possible: ['auto', 'kernel', 'tap'],
    live: true,
    summary: 'What carries frames: kernel by itself, tap for overlayd, auto for the first that can',
  },
  { ...COMMON, name: 'varpd/id', type: 'uint', access: 'r-', summary: 'Number of the lookup instance' },
];

/** Shown between the properties of the encapsulation and those of the lookup plugin. */
export const SEARCH_PROPERTY: PropertyDescription = { ...COMMON, name: 'search', type: 'string', access: 'r-', summary: 'Lookup plugin' };

/** Option of create-overlay that sets a property which `-p` does not. */
export const SET_BY_OPTION: Readonly<Record<string, string>> = { vnetid: '-v', encap: '-e', search: '-s' };
