// up-overlay: makes overlays that are saved and not there.
import { Args } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { errorOf, orFail } from '../core/cli/failures.ts';
import type { Client } from '../core/rpc/client.ts';
import type { UpResult } from '../core/rpc/protocol.ts';

export default class UpOverlay extends BaseCommand<UpResult> {
  static override summary = 'Bring up overlays that are saved.';
  static override description = `Makes the overlay that is named, or every one, with its VNICs, as it was saved; one that is there already is \
left alone. Runs at boot. Goes on after a failure and then exits 1; what failed is tried again by overlayd when it can help.`;
  static override usage = 'up-overlay [OVERLAY]';
  static override examples = ['<%= config.bin %> up-overlay', '<%= config.bin %> up-overlay overlay0'];

  static override args = { overlay: Args.string({ description: 'name of the overlay', ignoreStdin: true }) };

  async run(): Promise<UpResult> {
    const { args } = await this.parse(UpOverlay);
    const name = args.overlay ?? null;
    const failure = name === null ? 'could not bring overlays up' : `could not bring up overlay '${name}'`;
    await using client = await this.connect();
    const result = await orFail(
      () => up(client, name),
      () => failure,
      name ?? '',
    );
    for (const warning of result.warnings) this.warn(warning);
    for (const each of result.failed) this.failWith(errorOf(each));
    if (result.failed.length > 0) this.failWith(errorOf({ name: '', code: 'OVERLAY_NOT_UP', message: failure, details: {} }));
    return result;
  }
}

const up = (client: Client, name: string | null): Promise<UpResult> => client.call('overlay.up', { name });
