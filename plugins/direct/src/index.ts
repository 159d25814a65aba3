// The lookup plugin for two hosts or one multicast group: every frame goes to one destination.
import {
  type AnyPropertyValues,
  type Destination,
  type DestinationField,
  defineProperties,
  type IpAddress,
  type IpScope,
  ipScope,
  type LookupPlugin,
  OverlayError,
  type PointInstance,
  type PropertyValues,
} from '@overlayadm/api';

/**
 * Kinds of addresses that illumos refuses (libvarpd_direct.c when it is set, the kernel's ASSOCIATE for the unspecified
 * one). Multicast is allowed: frames then flood a group. What a host can be sent to at all is the overlay's own check.
 */
const REFUSED_SCOPES: Partial<Record<IpScope, string>> = {
  'v4-compatible': 'is an IPv4-compatible address, which no host has any more (RFC 4291 §2.5.5.1)',
  '6to4': 'is a 6to4 address (2002::/16), which cannot carry an underlay',
  unspecified: 'is the unspecified address, nothing can be sent there',
};

const refuseDestIp = (ip: IpAddress): string | undefined => REFUSED_SCOPES[ipScope(ip)];

const properties = defineProperties([
  {
    name: 'dest_ip',
    type: 'ip',
    access: 'rw',
    required: true,
    summary: 'underlay address that every frame is sent to',
    refuse: refuseDestIp,
    live: true,
  },
  {
    name: 'dest_port',
    type: 'uint',
    access: 'rw',
    required: true,
    possible: { min: 1, max: 65535 },
    summary: 'UDP port that every frame is sent to',
    onlyFor: 'port',
    live: true,
  },
]);

/** @throws OverlayError LOOKUP_CANNOT_SERVE */
function refuseNeeds(needs: readonly DestinationField[]): void {
  if (needs.length > 0 && !needs.includes('ethernet')) return;
  throw new OverlayError('LOOKUP_CANNOT_SERVE', `direct: cannot serve an encapsulation that needs ${needs.join(' and ') || 'nothing'}`, {
    details: { lookup: 'direct', needs },
    advice: 'direct gives an IP address and a port; choose another lookup plugin for this encapsulation.',
  });
}

/** @throws OverlayError DIRECT_UNSET when a field is needed that has no value */
function destinationOf(needs: readonly DestinationField[], values: PropertyValues<typeof properties>): Destination {
  const { dest_ip, dest_port } = values;
  if (needs.includes('port') && dest_port === undefined) {
    throw new OverlayError('DIRECT_UNSET', 'direct/dest_port: has no value, and the encapsulation needs a port', {
      details: { property: 'direct/dest_port' },
      advice: 'Add -p direct/dest_port=<port>.',
    });
  }
  return { ...(needs.includes('ip') ? { ip: dest_ip } : {}), ...(needs.includes('port') && dest_port !== undefined ? { port: dest_port } : {}) };
}

function createPoint(needs: readonly DestinationField[], values: AnyPropertyValues): PointInstance {
  refuseNeeds(needs);
  const known = values as PropertyValues<typeof properties>;
  return {
    mode: 'point',
    start: async () => void destinationOf(needs, known),
    stop: async () => {},
    destination: () => destinationOf(needs, known),
  };
}

const direct: LookupPlugin = { kind: 'lookup', name: 'direct', properties, create: createPoint };

export default direct;
