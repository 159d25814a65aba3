// delete-overlay: removes overlay devices.
import { Args } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { temporary } from '../core/cli/common-flags.ts';
import { type DeleteResult, deleteEach } from '../core/cli/delete-each.ts';

export default class DeleteOverlay extends BaseCommand<DeleteResult> {
  static override summary = 'Delete overlays.';
  static override description =
    'Deletes each overlay that is named; one that has VNICs is refused. Goes on after a failure and then exits 1. With -t what is saved stays, and up-overlay makes it again.';
  static override usage = 'delete-overlay [-t] OVERLAY...';
  static override examples = ['<%= config.bin %> delete-overlay overlay0'];

  static override args = { overlay: Args.string({ description: 'names of the devices', required: true, multiple: true, ignoreStdin: true }) };

  static override flags = { temporary: temporary('Keep what is saved.') };

  async run(): Promise<DeleteResult> {
    const { args, flags } = await this.parse(DeleteOverlay);
    await using client = await this.connect();
    return await deleteEach(
      args.overlay,
      (name) => client.call('overlay.delete', { name, temporary: flags.temporary }),
      (error) => this.failWith(error),
    );
  }
}
