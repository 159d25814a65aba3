// show-overlay: lists properties, targets or health of overlays.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { HEALTH_FIELDS, PROPERTY_FIELDS, TARGET_FIELDS } from '../core/cli/fields.ts';
import { readEach, targetsOf } from '../core/cli/read-each.ts';
import { usageError } from '../core/cli/usage.ts';
import type { HealthRow, PropertyRow, TargetRow } from '../core/rpc/protocol.ts';

type Rows = readonly PropertyRow[] | readonly HealthRow[] | readonly TargetRow[];

export default class ShowOverlay extends BaseCommand<Rows> {
  static override summary = 'Show properties, targets or health of overlays.';
  static override description = 'Lists the overlays that are named, or all of them. A name that is none gives a warning and exit status 1.';
  static override usage = 'show-overlay [-f | -t] [OVERLAY]...';
  static override examples = [
    '<%= config.bin %> show-overlay',
    '<%= config.bin %> show-overlay -t overlay0',
    '<%= config.bin %> show-overlay -f --json',
  ];

  static override args = { overlay: Args.string({ description: 'names of overlays', multiple: true, ignoreStdin: true }) };

  static override flags = {
    fma: Flags.boolean({ char: 'f', summary: 'Show health: online, or degraded and why.' }),
    target: Flags.boolean({ char: 't', summary: 'Show the target cache: which MAC address is sent where.' }),
  };

  async run(): Promise<Rows> {
    const { args, flags } = await this.parse(ShowOverlay);
    if (flags.fma && flags.target) throw usageError('only one of -f and -t may be used');
    await using client = await this.connect();
    const names = { asked: args.overlay, failed: (text: string) => this.warnAndFail(text) };
    if (flags.target) return this.#show(TARGET_FIELDS, await readEach(client, names, (name) => targetsOf(client, name)));
    if (flags.fma) return this.#show(HEALTH_FIELDS, await readEach(client, names, async (name) => [await client.call('overlay.health', { name })]));
    return this.#show(PROPERTY_FIELDS, await readEach(client, names, (name) => client.call('overlay.properties', { name })));
  }

  #show<T>(fields: Parameters<typeof this.printTable<T>>[0], rows: readonly T[]): readonly T[] {
    this.printTable(fields, rows);
    return rows;
  }
}
