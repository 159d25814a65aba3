// Where the underlay carries a frame to.
import type { IpAddress, MacAddress } from './address.ts';

/** Parts of an underlay address that an encapsulation can need (illumos sys/overlay_common.h OVERLAY_PLUGIN_D_*). */
export type DestinationField = 'ethernet' | 'ip' | 'port';

/** Exactly the fields that the encapsulation `needs` are present; `port` is 1-65535. */
export interface Destination {
  readonly mac?: MacAddress;
  readonly ip?: IpAddress;
  readonly port?: number;
}
