// delete-vnic: removes VNICs.
import { Args } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { type DeleteResult, deleteEach } from '../core/cli/delete-each.ts';

export default class DeleteVnic extends BaseCommand<DeleteResult> {
  static override summary = 'Delete VNICs.';
  static override description = 'Deletes each VNIC that is named, in whatever network namespace it is. Goes on after a failure and then exits 1.';
  static override usage = 'delete-vnic VNIC...';
  static override examples = ['<%= config.bin %> delete-vnic vnic0 vnic1'];

  static override args = { vnic: Args.string({ description: 'names of the VNICs', required: true, multiple: true, ignoreStdin: true }) };

  async run(): Promise<DeleteResult> {
    const { args } = await this.parse(DeleteVnic);
    await using client = await this.connect();
    return await deleteEach(
      args.vnic,
      (name) => client.call('vnic.delete', { name }),
      (error) => this.failWith(error),
    );
  }
}
