// set-linkprop: changes properties of an overlay or a VNIC.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { temporary } from '../core/cli/common-flags.ts';
import { orFail } from '../core/cli/failures.ts';
import { propertyFailure } from '../core/cli/link-properties.ts';
import { parsePropertyArguments } from '../core/cli/property-arguments.ts';
import { required } from '../core/cli/usage.ts';

interface Changed {
  readonly warnings: readonly string[];
}

export default class SetLinkprop extends BaseCommand<Changed> {
  static override summary = 'Change properties of an overlay or a VNIC.';
  static override description = `All properties that are given are changed, or none. Those that show-linkprop shows as rw can be changed while the \
link is there. It holds over a reboot, unless -t is given.`;
  static override usage = 'set-linkprop [-t] -p PROP=VALUE[,...] LINK';
  static override examples = [
    '<%= config.bin %> set-linkprop -p mtu=1450 overlay0',
    '<%= config.bin %> set-linkprop -t -p files/config=/etc/overlayadm/other.json overlay0',
    '<%= config.bin %> set-linkprop -p netns=blue vnic0',
  ];

  static override args = { link: Args.string({ description: 'overlay or VNIC', required: true, ignoreStdin: true }) };

  static override flags = {
    temporary: temporary('Not kept over a reboot.'),
    prop: Flags.string({
      char: 'p',
      helpValue: 'PROP=VALUE',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Properties and their values; several with commas (required).',
    }),
  };

  async run(): Promise<Changed> {
    const { args, flags } = await this.parse(SetLinkprop);
    const { link } = args;
    const properties = parsePropertyArguments(required(flags.prop, 'link property must be specified', '-p PROP=VALUE'));
    const names = properties.map(({ name }) => name);
    await using client = await this.connect();
    const set = () => client.call('linkprop.set', { link, properties, temporary: flags.temporary });
    const changed = await orFail(set, propertyFailure('set', link, names), link, ...names);
    for (const warning of changed.warnings) this.warn(warning);
    return changed;
  }
}
