// show-linkprop: the link properties of overlays and VNICs.
import type { LinkPropertyRow } from '../../rpc/protocol.ts';
import { linkPropertyFields } from '../fields.ts';
import { linkNotValid, readEach } from '../read-each.ts';
import { usageError } from '../usage.ts';
import { OUTPUT_FLAGS, openOutput } from './output.ts';
import type { ShowSpecification } from './specification.ts';

export const SHOW_LINKPROP: ShowSpecification<'persistent' | 'prop' | keyof typeof OUTPUT_FLAGS> = {
  id: 'show-linkprop',
  summary: 'Show link properties of overlays and VNICs.',
  description:
    'Lists the properties of the links that are named, or of all. One that cannot be shown gives a warning and, after the others, \
exit status 1; so does a property that none of them has.',
  usage: 'show-linkprop [-P] [[-c] -o FIELD,...] [-p PROP,...] [LINK]...',
  examples: ['show-linkprop', 'show-linkprop -p mtu overlay0', 'show-linkprop -c -o value -p mtu overlay0'],
  operand: { name: 'link', description: 'names of overlays and VNICs', multiple: true },
  flags: {
    persistent: { char: 'P', summary: 'Show as VALUE what a reboot brings back.' },
    prop: { char: 'p', value: 'PROP,...', multiple: true, summary: 'Show these properties only.' },
    output: OUTPUT_FLAGS.output,
    parsable: { ...OUTPUT_FLAGS.parsable, char: 'c' },
  },
  tables: [{ fields: linkPropertyFields(false) }],

  async run({ operands, text, texts, has }, context) {
    const wanted = propertyNames(texts('prop'));
    const sink = openOutput(context, linkPropertyFields(has('persistent')), { output: text('output'), parsable: has('parsable') });
    await using client = await context.connect();
    let status = 0;
    const failed = (warning: string, advice?: string): void => {
      status = 1;
      context.warn(warning, advice);
    };
    const typed = operands.length > 0;
    const names = typed ? operands : (await client.call('link.list', {})).map((row) => row.link);
    const missing = new Set(wanted);
    const show = (rows: readonly LinkPropertyRow[]): void => {
      for (const { property } of rows) missing.delete(property);
      sink.rows(wanted.length === 0 ? rows : selected(rows, wanted));
    };
    await readEach({ names, typed, missing: linkNotValid, failed }, (link) => client.call('linkprop.list', { link }), show);
    for (const name of missing) failed(`invalid link property '${name}'`);
    sink.end();
    return status;
  },
};

/** @throws OverlayError USAGE */
function propertyNames(texts: readonly string[]): readonly string[] {
  const names = texts.flatMap((text) => text.split(','));
  if (names.some((name) => name === '' || name.includes('='))) throw usageError('invalid link properties specified', 'Write -p prop[,prop...].');
  return names;
}

/** In the order they were asked for, as dladm does. */
const selected = (rows: readonly LinkPropertyRow[], names: readonly string[]): readonly LinkPropertyRow[] =>
  names.flatMap((name) => rows.filter((row) => row.property === name));
