// reset-linkprop: gives properties of an overlay or a VNIC their defaults back.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { temporary } from '../core/cli/common-flags.ts';
import { orFail } from '../core/cli/failures.ts';
import { propertyFailure } from '../core/cli/link-properties.ts';
import { parsePropertyNames } from '../core/cli/property-arguments.ts';

interface Changed {
  readonly warnings: readonly string[];
}

export default class ResetLinkprop extends BaseCommand<Changed> {
  static override summary = 'Give properties of an overlay or a VNIC their defaults back.';
  static override description =
    'Without -p all properties that can be changed and have a default. It holds over a reboot, unless -t is given: then the value that is saved stays.';
  static override usage = 'reset-linkprop [-t] [-p PROP[,...]] LINK';
  static override examples = ['<%= config.bin %> reset-linkprop -p mtu overlay0', '<%= config.bin %> reset-linkprop overlay0'];

  static override args = { link: Args.string({ description: 'overlay or VNIC', required: true, ignoreStdin: true }) };

  static override flags = {
    temporary: temporary('Not kept over a reboot.'),
    prop: Flags.string({
      char: 'p',
      helpValue: 'PROP',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Names of properties; several with commas.',
    }),
  };

  async run(): Promise<Changed> {
    const { args, flags } = await this.parse(ResetLinkprop);
    const { link } = args;
    const properties = parsePropertyNames(flags.prop);
    await using client = await this.connect();
    const reset = () => client.call('linkprop.reset', { link, properties, temporary: flags.temporary });
    const changed = await orFail(reset, propertyFailure('reset', link, properties), link, ...(properties ?? []));
    for (const warning of changed.warnings) this.warn(warning);
    return changed;
  }
}
