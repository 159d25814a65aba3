// modify-overlay: changes the target cache of an overlay.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { orFail } from '../core/cli/failures.ts';
import { parseTargetChange, type TargetChange } from '../core/cli/target-arguments.ts';
import { usageError } from '../core/cli/usage.ts';
import type { Client } from '../core/rpc/client.ts';

export default class ModifyOverlay extends BaseCommand<null> {
  static override summary = 'Change the target cache of an overlay.';
  static override description = `Says where frames to a MAC address are sent (-s), forgets that for one (-d) or for all of them (-f), so that \
the lookup plugin is asked again. Properties are changed by set-linkprop.`;
  static override usage = 'modify-overlay -d MAC | -f | -s MAC=DEST OVERLAY';
  static override examples = [
    '<%= config.bin %> modify-overlay -s de:ad:be:ef:0:0=192.0.2.7:4789 overlay0',
    '<%= config.bin %> modify-overlay -s de:ad:be:ef:0:1=[2001:db8::7]:4789 overlay0',
    '<%= config.bin %> modify-overlay -s de:ad:be:ef:0:2=drop overlay0',
    '<%= config.bin %> modify-overlay -d de:ad:be:ef:0:0 overlay0',
  ];

  // As many as are typed: how many are too many is said in dladm's words.
  static override args = { overlay: Args.string({ description: 'name of the device', multiple: true, ignoreStdin: true }) };

  static override flags = {
    'delete-entry': Flags.string({ char: 'd', helpValue: 'MAC', multiple: true, multipleNonGreedy: true, summary: 'Forget one target.' }),
    'flush-table': Flags.boolean({ char: 'f', summary: 'Forget all targets.' }),
    'set-entry': Flags.string({
      char: 's',
      helpValue: 'MAC=DEST',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Send what is for MAC to DEST: ip:port, [ipv6]:port, or drop.',
    }),
  };

  async run(): Promise<null> {
    const { args, flags, raw } = await this.parse(ModifyOverlay);
    const flushes = raw.filter((token) => token.type === 'flag' && token.flag === 'flush-table').length;
    const change = parseTargetChange({ deleted: flags['delete-entry'] ?? [], set: flags['set-entry'] ?? [], flushes });
    const [overlay, ...others] = args.overlay ?? [];
    if (overlay === undefined) throw usageError('missing required overlay device');
    if (others.length > 0) throw usageError('only one overlay device may be specified');
    await using client = await this.connect();
    await orFail(
      () => apply(client, overlay, change),
      ({ code }) => (code === 'OVERLAY_NOT_FOUND' ? `failed to find overlay ${overlay}` : failureOf(overlay, change)),
      overlay,
      ...namesIn(change),
    );
    return null;
  }
}

function apply(client: Client, overlay: string, change: TargetChange): Promise<null> {
  switch (change.kind) {
    case 'delete':
      return client.call('target.remove', { overlay, mac: change.mac });
    case 'flush':
      return client.call('target.flush', { overlay });
    case 'set':
      return client.call('target.set', { overlay, mac: change.mac, destination: change.destination });
  }
}

/** What failureOf() names already. */
function namesIn(change: TargetChange): readonly string[] {
  if (change.kind === 'flush') return [];
  return change.kind === 'delete' ? [change.mac] : [change.mac, change.destination];
}

/** dladm's words; the text that was typed, where dladm shows whatever option came last. */
function failureOf(overlay: string, change: TargetChange): string {
  switch (change.kind) {
    case 'delete':
      return `failed to flush target ${change.mac} from overlay target cache ${overlay}`;
    case 'flush':
      return `failed to flush target cache for overlay ${overlay}`;
    case 'set':
      return `failed to set target ${change.text} for overlay target cache ${overlay}`;
  }
}
