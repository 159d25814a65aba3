// show-link: overlays and VNICs as links, and their counters with -s.
import type { Client } from '../../rpc/client.ts';
import { OverlayError } from '../../rpc/errors.ts';
import type { LinkRow, LinkStatistics } from '../../rpc/protocol.ts';
import { sleep } from '../../util/clock.ts';
import { MAX_SHOW_INTERVAL_SECONDS } from '../../util/limits.ts';
import { LINK_FIELDS, STATISTICS_FIELDS } from '../fields.ts';
import { toJsonLine } from '../json.ts';
import { isMissing, linkNotValid, NOT_FOUND, readEach } from '../read-each.ts';
import { usageError } from '../usage.ts';
import { OUTPUT_FLAGS, type OutputWords, openOutput, refuseWithJson, type Sink } from './output.ts';
import type { ShowContext, ShowSpecification } from './specification.ts';
import { sinceLast } from './statistics.ts';

export const SHOW_LINK: ShowSpecification<'statistics' | 'interval' | keyof typeof OUTPUT_FLAGS> = {
  id: 'show-link',
  summary: 'Show overlays and VNICs as links, or their counters.',
  description: `Lists one link, or all overlays and VNICs. With -s it shows frames and bytes each way since the link was made, and what was \
missed, queued and dropped; with -i it goes on until it is interrupted, and shows after the first time what was added in each interval.`,
  usage: 'show-link [-s [-i INTERVAL]] [[-p] -o FIELD,...] [LINK]',
  examples: ['show-link', 'show-link -s overlay0', 'show-link -s -i 1 overlay0', 'show-link -p -o link,state'],
  operand: { name: 'link', description: 'name of an overlay or a VNIC', multiple: false },
  flags: {
    statistics: { char: 's', summary: 'Show counters.' },
    interval: { char: 'i', value: 'SECONDS', summary: 'With -s: show them again and again, so many seconds apart.' },
    ...OUTPUT_FLAGS,
  },
  tables: [{ fields: LINK_FIELDS }, { flag: 'statistics', fields: STATISTICS_FIELDS }],

  async run({ operands: [link], text, has }, context) {
    const output = { output: text('output'), parsable: has('parsable') };
    const interval = text('interval');
    if (interval !== undefined && !has('statistics')) throw usageError('the option -i can be used only with -s');
    const seconds = interval === undefined ? undefined : parseInterval(interval);
    if (has('statistics')) return showStatistics(link, seconds, context, output);
    const sink = openOutput(context, LINK_FIELDS, output);
    await using client = await context.connect();
    const rows = await client.call('link.list', {});
    sink.rows(link === undefined ? rows : await only(client, rows, link));
    sink.end();
    return 0;
  },
};

function parseInterval(text: string): number {
  const seconds = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= MAX_SHOW_INTERVAL_SECONDS) return seconds;
  throw usageError(`invalid interval value '${text}'`, `Write whole seconds, 1 to ${MAX_SHOW_INTERVAL_SECONDS}.`);
}

/** @throws OverlayError LINK_NOT_FOUND; OVERLAY_DOWN for an overlay that has no link now */
async function only(client: Client, rows: readonly LinkRow[], link: string): Promise<readonly LinkRow[]> {
  const found = rows.filter((row) => row.link === link);
  if (found.length > 0) return found;
  // The list has what is there; why something is not, overlayd says when it is asked for that one.
  await client.call('linkprop.list', { link }).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  throw notValid(link);
}

const notValid = (link: string): OverlayError =>
  new OverlayError('LINK_NOT_FOUND', `${linkNotValid(link)}: ${NOT_FOUND}`, { details: { link }, advice: 'See overlayadm show-link.' });

async function showStatistics(link: string | undefined, seconds: number | undefined, context: ShowContext, output: OutputWords): Promise<number> {
  const sink = seconds !== undefined && context.json ? jsonLines(context, output) : openOutput(context, STATISTICS_FIELDS, output);
  await using client = await context.connect();
  const failures = new Failures(context);
  let before: readonly LinkStatistics[] = [];
  for (;;) {
    const now = await readStatistics(client, link, failures);
    sink.rows(sinceLast(now, before));
    if (seconds === undefined) break;
    before = now;
    await sleep(context.clock, seconds * 1000);
  }
  sink.end();
  return failures.status;
}

/** Each round is an array on a line of its own, because there is no end at which one could be closed. */
function jsonLines(context: ShowContext, output: OutputWords): Sink<LinkStatistics> {
  refuseWithJson(output);
  return { rows: (rows) => context.write(`${toJsonLine(rows)}\n`), end: () => {} };
}

class Failures {
  status = 0;
  readonly #context: ShowContext;

  constructor(context: ShowContext) {
    this.#context = context;
  }

  readonly add = (text: string, advice?: string): void => {
    this.status = 1;
    this.#context.warn(text, advice);
  };
}

/** @throws OverlayError LINK_NOT_FOUND when the one link is not there, or not there any more */
async function readStatistics(client: Client, link: string | undefined, failures: Failures): Promise<readonly LinkStatistics[]> {
  const one = (name: string): Promise<LinkStatistics> => client.call('link.statistics', { link: name });
  if (link !== undefined) {
    return [
      await one(link).catch((error: unknown) => {
        throw isMissing(error) ? notValid(link) : error;
      }),
    ];
  }
  const rows: LinkStatistics[] = [];
  const names = (await client.call('link.list', {})).map((row) => row.link);
  // One that waits for its namespace is no failure, unless it was asked for: show-link says where it is.
  const there = (name: string): Promise<readonly LinkStatistics[]> =>
    one(name).then(
      (row) => [row],
      (error: unknown) => (OverlayError.is(error) && error.code === 'VNIC_ABSENT' ? [] : Promise.reject(error)),
    );
  await readEach({ names, typed: false, missing: linkNotValid, failed: failures.add }, there, (found) => rows.push(...found));
  return rows;
}
