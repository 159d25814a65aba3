// What the parameters of each method have to look like; only the server loads this, because of what valibot costs at start-up.
import * as v from 'valibot';
import { MAX_NAME_CHARACTERS, MAX_PATH_BYTES, MAX_PROPERTY_ARGUMENTS } from '../util/limits.ts';
import { OverlayError } from './errors.ts';
import type { MethodName, Methods } from './protocol.ts';

const name = v.pipe(v.string(), v.minLength(1, 'it is empty'), v.maxLength(MAX_NAME_CHARACTERS));
const properties = v.pipe(
  v.array(v.strictObject({ name, text: v.pipe(v.string(), v.maxLength(MAX_PATH_BYTES)) })),
  v.maxLength(MAX_PROPERTY_ARGUMENTS),
);
const temporary = v.boolean();
const named = v.strictObject({ name });
const none = v.strictObject({});

/** The shape only: what a value means, and its range, is for the handler, which has the better text for it. */
export const paramsOf: { readonly [M in MethodName]: v.GenericSchema<unknown, Methods[M]['params']> } = {
  hello: v.strictObject({ version: name }),
  'overlay.create': v.strictObject({
    name: v.exactOptional(name),
    encap: name,
    search: name,
    vnetid: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    properties,
    temporary,
  }),
  'overlay.delete': v.strictObject({ name, temporary }),
  'overlay.up': v.strictObject({ name: v.nullable(name) }),
  'overlay.names': v.strictObject({ saved: v.boolean() }),
  'overlay.properties': named,
  'overlay.health': named,
  'overlay.targets': v.strictObject({ name, after: v.nullable(name) }),
  'overlay.counters': named,
  'vnic.create': v.strictObject({
    name,
    overlay: name,
    mac: v.exactOptional(name),
    vid: v.exactOptional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
    properties,
    temporary,
  }),
  'vnic.delete': v.strictObject({ name, temporary }),
  'vnic.list': v.strictObject({ overlay: v.nullable(name) }),
  'target.set': v.strictObject({ overlay: name, mac: name, destination: name }),
  'target.remove': v.strictObject({ overlay: name, mac: name }),
  'target.flush': v.strictObject({ overlay: name }),
  'link.list': none,
  'link.statistics': v.strictObject({ link: name }),
  'linkprop.list': v.strictObject({ link: name }),
  'linkprop.set': v.strictObject({ link: name, properties, temporary }),
  'linkprop.reset': v.strictObject({
    link: name,
    properties: v.nullable(v.pipe(v.array(name), v.maxLength(MAX_PROPERTY_ARGUMENTS))),
    temporary,
  }),
  'plugin.list': none,
  'plugin.reload': none,
};

/** @throws OverlayError RPC_INVALID that says which parameter is wrong and why. */
export function checkParams<M extends MethodName>(method: M, params: unknown): Methods[M]['params'] {
  // valibot takes a list for an object without keys.
  const result = v.safeParse(paramsOf[method], Array.isArray(params) ? undefined : params, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  throw new OverlayError(
    'RPC_INVALID',
    `${method}: wrong parameters (${path === null ? '' : `${path}: `}${issue.message.slice(0, MAX_NAME_CHARACTERS)})`,
    {
      details: { method, path },
      advice: 'The command and overlayd may be of different versions; restart overlayd after an upgrade.',
    },
  );
}
