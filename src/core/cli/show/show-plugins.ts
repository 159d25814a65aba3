// show-plugins: the plugins that there are, where they come from, and what is wrong with one.
import type { PluginList } from '../../rpc/protocol.ts';
import { PLUGIN_FIELDS } from '../fields.ts';
import { toJson } from '../json.ts';
import { failedToFind, NOT_FOUND } from '../read-each.ts';
import { OUTPUT_FLAGS, openOutput, refuseWithJson } from './output.ts';
import type { ShowSpecification } from './specification.ts';

export const SHOW_PLUGINS: ShowSpecification<keyof typeof OUTPUT_FLAGS> = {
  id: 'show-plugins',
  summary: 'Show the encapsulation and lookup plugins.',
  description: `Lists the plugins that are named, or all of them, with package, properties and the user that each runs as. What is wrong with \
one, and which packages were left out, is shown as warnings; a name that is none gives a warning and exit status 1.`,
  usage: 'show-plugins [[-p] -o FIELD,...] [PLUGIN]...',
  examples: ['show-plugins', 'show-plugins -o name,package,problem', 'show-plugins -p -o properties vxlan'],
  operand: { name: 'plugin', description: 'names of plugins', multiple: true },
  flags: { ...OUTPUT_FLAGS },
  tables: [{ fields: PLUGIN_FIELDS }],

  async run({ operands, text, has }, context) {
    const output = { output: text('output'), parsable: has('parsable') };
    if (context.json) refuseWithJson(output);
    const sink = openOutput(context, PLUGIN_FIELDS, output);
    await using client = await context.connect();
    const list = only(await client.call('plugin.list', {}), operands);
    if (context.json) context.write(`${toJson(list)}\n`);
    else sink.rows(list.plugins);
    for (const { kind, name, problem } of list.plugins) if (problem !== null) context.warn(`${kind} plugin ${name}: ${problem}`);
    for (const problem of list.problems) context.warn(problem);
    const missing = operands.filter((operand) => list.plugins.every(({ name }) => name !== operand));
    for (const name of missing) context.warn(`${failedToFind(name)}: ${NOT_FOUND}`);
    return missing.length > 0 ? 1 : 0;
  },
};

/** In the order of the names; an encapsulation and a lookup may share one. Packages that were left out are no business of a name. */
function only({ plugins, problems }: PluginList, names: readonly string[]): PluginList {
  if (names.length === 0) return { plugins, problems };
  return { plugins: names.flatMap((name) => plugins.filter((plugin) => plugin.name === name)), problems: [] };
}
