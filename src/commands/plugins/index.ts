// plugins: lists the packages that were installed or linked.
import { PluginsCommand } from '../../core/cli/plugins-command.ts';
import { type PluginPackage, packageRow } from '../../core/cli/plugins-list.ts';

export default class Plugins extends PluginsCommand<readonly PluginPackage[]> {
  static override summary = 'List plugin packages that were installed or linked.';
  static override description = 'Those that come with overlayadm are not among them: show-plugins shows every plugin that can be used.';
  static override usage = 'plugins';
  static override examples = ['<%= config.bin %> plugins', '<%= config.bin %> plugins --json'];

  // So that a word after it is told from a command of this topic.
  static override args = {};

  async run(): Promise<readonly PluginPackage[]> {
    await this.parse(Plugins);
    const rows = this.installed().map(packageRow);
    this.printTable(
      [
        { name: 'PACKAGE', width: 32, value: (row) => row.name },
        { name: 'VERSION', width: 12, value: (row) => row.version },
        { name: 'KIND', width: 10, value: (row) => row.kind },
        { name: 'BRINGS', width: 24, value: (row) => row.providers.join(',') },
        { name: 'FROM', width: 40, value: (row) => row.source, wraps: false },
      ],
      rows,
    );
    return rows;
  }
}
