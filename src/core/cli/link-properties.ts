// set-linkprop and reset-linkprop: what is said when overlayd refuses, in dladm's words.
import type { OverlayError } from '../rpc/errors.ts';

/**
 * `cannot set link property 'mtu' on 'overlay0'`. Several properties are one change: overlayd names the one it refused in
 * `details.property`, and all are named when it did not say.
 */
export function propertyFailure(verb: 'set' | 'reset', link: string, properties: readonly string[] | null): (error: OverlayError) => string {
  return ({ code, details }) => {
    if (code === 'LINK_NOT_FOUND' || code === 'OVERLAY_NOT_FOUND' || code === 'VNIC_NOT_FOUND') return `link ${link} is not valid`;
    const refused = typeof details.property === 'string' ? [details.property] : (properties ?? []);
    if (refused.length === 0) return `cannot ${verb} link properties on '${link}'`;
    const quoted = refused.map((name) => `'${name}'`).join(', ');
    return `cannot ${verb} link ${refused.length === 1 ? 'property' : 'properties'} ${quoted} on '${link}'`;
  };
}
