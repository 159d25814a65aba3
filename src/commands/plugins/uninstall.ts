// plugins uninstall: removes plugin packages.
import { Args } from '@oclif/core';
import { verbose } from '../../core/cli/common-flags.ts';
import { PluginsChangeCommand, type PluginsChanged } from '../../core/cli/plugins-command.ts';
import { findPlugin } from '../../core/cli/plugins-list.ts';

export default class PluginsUninstall extends PluginsChangeCommand {
  static override aliases = ['plugins:unlink', 'plugins:remove'];
  static override summary = 'Remove plugin packages that were installed or linked.';
  static override description = `Overlays that use one go on with its code as long as its plugin host runs; after that they forward to what \
they know, degraded, until it is installed again. A folder that was linked is left as it is.`;
  static override usage = 'plugins uninstall [-v] PACKAGE...';
  static override examples = ['<%= config.bin %> plugins uninstall overlayadm-plugin-geneve'];

  static override args = { package: Args.string({ description: 'name of the package', required: true, multiple: true, ignoreStdin: true }) };

  static override flags = { verbose };

  async run(): Promise<PluginsChanged> {
    const { args, flags } = await this.parse(PluginsUninstall);
    this.checkRights('uninstall', ...args.package);
    const plugins = args.package.map((name) => findPlugin(this.installed(), name));
    // Their versions cannot be read any more afterwards.
    const packages = plugins.map((plugin) => this.described(plugin));
    for (const { name } of plugins) await this.runProgram({ id: 'plugins:uninstall', args: [name] }, flags.verbose, 'uninstalled', name);
    const removed = packages.map(({ name }) => name);
    return { ...(await this.changed([], removed)), packages };
  }
}
