// delete-vnic: removes VNICs.
import { Args } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { temporary } from '../core/cli/common-flags.ts';
import { type DeleteResult, deleteEach } from '../core/cli/delete-each.ts';

export default class DeleteVnic extends BaseCommand<DeleteResult> {
  static override summary = 'Delete VNICs.';
  static override description =
    'Deletes each VNIC that is named, in whatever network namespace it is. Goes on after a failure and then exits 1. With -t what is saved stays, and up-overlay makes it again.';
  static override usage = 'delete-vnic [-t] VNIC...';
  static override examples = ['<%= config.bin %> delete-vnic vnic0 vnic1'];

  static override args = { vnic: Args.string({ description: 'names of the VNICs', required: true, multiple: true, ignoreStdin: true }) };

  static override flags = { temporary: temporary('Keep what is saved.') };

  async run(): Promise<DeleteResult> {
    const { args, flags } = await this.parse(DeleteVnic);
    await using client = await this.connect();
    return await deleteEach(
      args.vnic,
      (name) => client.call('vnic.delete', { name, temporary: flags.temporary }),
      (error) => this.failWith(error),
    );
  }
}
