// show-overlay: properties, targets or health of overlays.
import type { Client } from '../../rpc/client.ts';
import type { HealthRow, Page, TargetRow } from '../../rpc/protocol.ts';
import { HEALTH_FIELDS, PROPERTY_FIELDS, TARGET_FIELDS } from '../fields.ts';
import { attempt, failedToFind, type Names, readEach } from '../read-each.ts';
import { usageError } from '../usage.ts';
import { OUTPUT_FLAGS, type OutputWords, openOutput, type Sink } from './output.ts';
import type { ShowContext, ShowSpecification, Words } from './specification.ts';

type Flag = 'fma' | 'target' | 'check' | keyof typeof OUTPUT_FLAGS;

/** Exit status of --check when all could be shown and something is degraded. */
const EXIT_DEGRADED = 3;

export const SHOW_OVERLAY: ShowSpecification<Flag> = {
  id: 'show-overlay',
  summary: 'Show properties, targets or health of overlays.',
  description: `Lists the overlays that are named, or all of them. One that cannot be shown gives a warning and, after the others, \
exit status 1. Health is shown also of overlays that should be there and are not, and of saved ones that are not up.`,
  usage: 'show-overlay [-f [--check] | -t] [[-p] -o FIELD,...] [OVERLAY]...',
  examples: ['show-overlay', 'show-overlay -t overlay0', 'show-overlay -f --check', 'show-overlay -p -o link,property,value'],
  operand: { name: 'overlay', description: 'names of overlays', multiple: true },
  flags: {
    fma: { char: 'f', summary: 'Show health: online, degraded and why, or down.' },
    target: { char: 't', summary: 'Show the target cache: which MAC address is sent where.' },
    check: { summary: `With -f: exit status ${EXIT_DEGRADED} when an overlay is degraded.` },
    ...OUTPUT_FLAGS,
  },
  tables: [{ fields: PROPERTY_FIELDS }, { flag: 'fma', fields: HEALTH_FIELDS }, { flag: 'target', fields: TARGET_FIELDS }],

  async run(words, context) {
    if (words.has('fma') && words.has('target')) throw usageError('only one of -f and -t may be used');
    if (words.has('check') && !words.has('fma')) throw usageError('the option --check can be used only with -f');
    const output = { output: words.text('output'), parsable: words.has('parsable') };
    if (words.has('target')) return showTargets(words, context, output);
    if (words.has('fma')) return showHealth(words, context, output);
    return showProperties(words, context, output);
  },
};

async function showProperties(words: Words<Flag>, context: ShowContext, output: OutputWords): Promise<number> {
  const sink = openOutput(context, PROPERTY_FIELDS, output);
  await using client = await context.connect();
  const list = await listOf(client, words, context, false);
  await readEach(list, (name) => client.call('overlay.properties', { name }), sink.rows);
  sink.end();
  return list.status();
}

/** An answer that is not complete is worse than a degraded overlay: 1 comes before 3. */
async function showHealth(words: Words<Flag>, context: ShowContext, output: OutputWords): Promise<number> {
  const sink = openOutput(context, HEALTH_FIELDS, output);
  await using client = await context.connect();
  const list = await listOf(client, words, context, true);
  let degraded = false;
  const take = (row: HealthRow): void => {
    degraded ||= row.status === 'DEGRADED';
    sink.rows([row]);
  };
  await readEach(list, (name) => client.call('overlay.health', { name }), take);
  sink.end();
  return list.status() || (words.has('check') && degraded ? EXIT_DEGRADED : 0);
}

async function showTargets(words: Words<Flag>, context: ShowContext, output: OutputWords): Promise<number> {
  const sink = openOutput(context, TARGET_FIELDS, output);
  await using client = await context.connect();
  const list = await listOf(client, words, context, false);
  // One after the other, and each page as it comes: a cache may be larger than what this process should hold.
  for (const name of list.names) await attempt(list, name, () => showPages(client, name, sink));
  sink.end();
  return list.status();
}

async function showPages(client: Client, name: string, sink: Sink<TargetRow>): Promise<void> {
  let after: string | null = null;
  do {
    const page: Page<TargetRow> = await client.call('overlay.targets', { name, after });
    sink.rows(page.rows);
    after = page.next;
  } while (after !== null);
}

/** `status`: of the command, 1 when one failed. */
async function listOf(client: Client, { operands }: Words<Flag>, { warn }: ShowContext, saved: boolean): Promise<Names & { status(): number }> {
  let status = 0;
  const typed = operands.length > 0;
  const failed = (text: string, advice?: string): void => {
    status = 1;
    warn(text, advice);
  };
  return { names: typed ? operands : await client.call('overlay.names', { saved }), typed, missing: failedToFind, failed, status: () => status };
}
