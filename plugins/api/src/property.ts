// Properties as data: one row describes a property, and parsing, defaults, listing, saving and help all follow from it.
import type { IpAddress, MacAddress } from './address.ts';
import type { DestinationField } from './destination.ts';

/**
 * How the text of a property is read. `int` and `uint` are decimal whole numbers that JavaScript holds exactly
 * (at most 2^53-1), `boolean` is `true` or `false`, `path` an absolute path of a file that overlayd reads for the plugin.
 */
export interface PropertyTypes {
  int: number;
  uint: number;
  ip: IpAddress;
  string: string;
  ether: MacAddress;
  boolean: boolean;
  path: string;
}
export type PropertyType = keyof PropertyTypes;
export type PropertyValue = PropertyTypes[PropertyType];

export interface PropertyRange {
  readonly min: number;
  readonly max: number;
}

/** One row of `show-overlay`. */
export interface PropertyDefinition<N extends string = string, T extends PropertyType = PropertyType> {
  /** Without prefix: `listen_port`. People see and type `vxlan/listen_port`. `[a-z][a-z0-9_]*`, at most 31 characters. */
  readonly name: N;
  readonly type: T;
  /** `r-` is shown, but cannot be set. */
  readonly access: 'r-' | 'rw';
  /** Must have a value before the overlay is made; a default satisfies it. */
  readonly required: boolean;
  readonly default?: PropertyTypes[T];
  /** Enforced by the host before `refuse` is asked, and shown in the POSSIBLE column. */
  readonly possible?: readonly PropertyTypes[T][] | PropertyRange;
  readonly unit?: 'bytes' | 'ms' | 's';
  /** One line, shown by help. */
  readonly summary: string;
  /** Only there for an encapsulation that needs this part of a destination, as direct/dest_port where there are ports. */
  readonly onlyFor?: DestinationField;
  /** Why this value is refused, as the end of the sentence "vxlan/listen_ip: 224.0.0.1 ..."; undefined accepts. Pure: no I/O. */
  refuse?(value: PropertyTypes[T]): string | undefined;
  /**
   * May it change while the overlay lives? The host then makes a new instance with the new values beside the old one,
   * start()s it, swaps them and stops the old; a throw leaves the old one in place.
   */
  readonly live: boolean;
}

export type AnyPropertyDefinition = { [T in PropertyType]: PropertyDefinition<string, T> }[PropertyType];
export type PropertyTable = readonly AnyPropertyDefinition[];

/** The values a plugin is given: what is required or has a default is always there, unless `onlyFor` leaves it out. */
export type PropertyValues<P extends PropertyTable> = {
  readonly [D in P[number] as D['name']]: D extends { readonly onlyFor: DestinationField }
    ? PropertyTypes[D['type']] | undefined
    : D extends { readonly default: unknown } | { readonly required: true }
      ? PropertyTypes[D['type']]
      : PropertyTypes[D['type']] | undefined;
};

/** Values by property name, for code that serves any plugin. */
export type AnyPropertyValues = Readonly<Record<string, PropertyValue | undefined>>;

/** Keeps the literal types of a table, so that `PropertyValues` knows every name. */
export const defineProperties = <const P extends PropertyTable>(table: P): P => table;
