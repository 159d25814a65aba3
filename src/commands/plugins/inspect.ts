// plugins inspect: shows what an installed package says of itself.
import { Args } from '@oclif/core';
import { PluginsCommand } from '../../core/cli/plugins-command.ts';
import { type PluginDetails, packageDetails } from '../../core/cli/plugins-list.ts';

export default class PluginsInspect extends PluginsCommand<PluginDetails> {
  static override summary = 'Show what an installed plugin package says of itself.';
  static override description = 'Reads its package.json; nothing of it is run.';
  static override usage = 'plugins inspect PACKAGE';
  static override examples = ['<%= config.bin %> plugins inspect overlayadm-plugin-geneve'];

  static override args = { package: Args.string({ description: 'name of the package', required: true, ignoreStdin: true }) };

  async run(): Promise<PluginDetails> {
    const { args } = await this.parse(PluginsInspect);
    const details = packageDetails(this.installed(), args.package);
    this.printTable(
      [
        { name: 'FIELD', width: 14, value: ([name]) => name },
        {
          name: 'VALUE',
          width: 60,
          value: ([, value]) => (Array.isArray(value) ? value.join(', ') : value === null ? null : String(value)),
          wraps: false,
        },
      ],
      Object.entries(details),
    );
    return details;
  }
}
