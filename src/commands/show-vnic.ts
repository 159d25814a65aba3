// show-vnic: lists VNICs.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { VNIC_FIELDS } from '../core/cli/fields.ts';
import { notFound } from '../core/cli/read-each.ts';
import type { VnicRow } from '../core/rpc/protocol.ts';

export default class ShowVnic extends BaseCommand<readonly VnicRow[]> {
  static override summary = 'Show VNICs.';
  static override description = 'Lists the VNICs that are named, or all of them. A name that is none gives a warning and exit status 1.';
  static override usage = 'show-vnic [-l OVERLAY] [VNIC]...';
  static override examples = ['<%= config.bin %> show-vnic', '<%= config.bin %> show-vnic -l overlay0'];

  static override args = { vnic: Args.string({ description: 'names of VNICs', multiple: true, ignoreStdin: true }) };

  static override flags = { link: Flags.string({ char: 'l', helpValue: 'OVERLAY', summary: 'Only those over this overlay.' }) };

  async run(): Promise<readonly VnicRow[]> {
    const { args, flags } = await this.parse(ShowVnic);
    await using client = await this.connect();
    const all = await client.call('vnic.list', { overlay: flags.link ?? null });
    const rows = args.vnic === undefined ? all : this.#named(all, args.vnic);
    this.printTable(VNIC_FIELDS, rows);
    return rows;
  }

  #named(all: readonly VnicRow[], names: readonly string[]): readonly VnicRow[] {
    return names.flatMap((name) => {
      const found = all.filter((row) => row.vnic === name);
      if (found.length === 0) this.warnAndFail(notFound(name));
      return found;
    });
  }
}
