// show-vnic: the VNICs, over one overlay or all.
import { VNIC_FIELDS } from '../fields.ts';
import { failedToFind, NOT_FOUND } from '../read-each.ts';
import { usageError } from '../usage.ts';
import { OUTPUT_FLAGS, openOutput } from './output.ts';
import type { ShowSpecification } from './specification.ts';

export const SHOW_VNIC: ShowSpecification<'link' | keyof typeof OUTPUT_FLAGS> = {
  id: 'show-vnic',
  summary: 'Show VNICs.',
  description: 'Lists the VNICs that are named, or all of them. A name that is none gives a warning and exit status 1.',
  usage: 'show-vnic [-l OVERLAY] [[-p] -o FIELD,...] [VNIC]...',
  examples: ['show-vnic', 'show-vnic -l overlay0', 'show-vnic -p -o macaddress vnic0'],
  operand: { name: 'vnic', description: 'names of VNICs', multiple: true },
  flags: { link: { char: 'l', value: 'OVERLAY', summary: 'Only those over this overlay.' }, ...OUTPUT_FLAGS },
  tables: [{ fields: VNIC_FIELDS }],

  async run({ operands, text, has }, context) {
    if (text('link') === '') throw usageError('missing required link', 'Write -l OVERLAY.');
    const sink = openOutput(context, VNIC_FIELDS, { output: text('output'), parsable: has('parsable') });
    await using client = await context.connect();
    const all = await client.call('vnic.list', { overlay: text('link') ?? null });
    const isThere = (name: string): boolean => all.some((row) => row.vnic === name);
    const overlays = operands.every(isThere) ? [] : await client.call('overlay.names', { saved: true });
    for (const name of operands) {
      if (isThere(name)) sink.rows(all.filter((row) => row.vnic === name));
      else context.warn(overlays.includes(name) ? `${name} is not a VNIC` : `${failedToFind(name)}: ${NOT_FOUND}`);
    }
    if (operands.length === 0) sink.rows(all);
    sink.end();
    return operands.every(isThere) ? 0 : 1;
  },
};
