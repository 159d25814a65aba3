// plugins update: installs newer versions of what was installed from the registry.
import { verbose } from '../../core/cli/common-flags.ts';
import { PluginsChangeCommand, type PluginsChanged } from '../../core/cli/plugins-command.ts';

export default class PluginsUpdate extends PluginsChangeCommand {
  static override summary = 'Install newer versions of installed plugin packages.';
  static override description =
    'Of those that came from the registry. No script of a package is run; an overlayd that runs uses the new code at once.';
  static override usage = 'plugins update [-v]';
  static override examples = ['<%= config.bin %> plugins update'];

  static override args = {};

  static override flags = { verbose };

  async run(): Promise<PluginsChanged> {
    const { flags } = await this.parse(PluginsUpdate);
    this.checkRights('update');
    const before = new Map(this.installed().map((plugin) => [plugin.name, this.fingerprint(plugin)]));
    await this.runProgram({ id: 'plugins:update', args: [] }, flags.verbose, 'updated', 'plugins');
    const now = this.installed().filter((plugin) => before.get(plugin.name) !== this.fingerprint(plugin));
    this.tellWhatIsBrought(now);
    return await this.changed(now);
  }
}
