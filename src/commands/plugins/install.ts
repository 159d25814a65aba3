// plugins install: installs plugin packages for the whole host.
import { Args, Flags } from '@oclif/core';
import { verbose } from '../../core/cli/common-flags.ts';
import { packageArgument } from '../../core/cli/plugins-arguments.ts';
import { PluginsChangeCommand, type PluginsChanged } from '../../core/cli/plugins-command.ts';

export default class PluginsInstall extends PluginsChangeCommand {
  static override aliases = ['plugins:add'];
  static override summary = 'Install plugin packages.';
  static override description = `From the registry of npm, from a file that npm pack made, or from an address that npm understands; into the plugin \
directory of the host, so this needs root. No script of a package is run. An overlayd that runs uses the new code at once; overlays of \
other packages notice nothing.`;
  static override usage = 'plugins install [-f] [-v] PACKAGE[@VERSION] | FILE.tgz ...';
  static override examples = [
    '<%= config.bin %> plugins install overlayadm-plugin-geneve',
    '<%= config.bin %> plugins install file:/tmp/overlayadm-plugin-geneve-1.0.0.tgz',
  ];

  static override args = { package: Args.string({ description: 'package or file', required: true, multiple: true, ignoreStdin: true }) };

  static override flags = { force: Flags.boolean({ char: 'f', summary: 'Fetch also what npm has in its cache.' }), verbose };

  async run(): Promise<PluginsChanged> {
    const { args, flags } = await this.parse(PluginsInstall);
    this.checkRights('install', ...args.package);
    const packages = args.package.map(packageArgument);
    const before = new Map(this.installed().map((plugin) => [plugin.name, this.fingerprint(plugin)]));
    const force = flags.force ? ['--force'] : [];
    for (const each of packages) await this.runProgram({ id: 'plugins:install', args: [each, ...force] }, flags.verbose, 'installed', each);
    const now = this.installed().filter((plugin) => before.get(plugin.name) !== this.fingerprint(plugin));
    for (const { name } of now) await this.#removeBundled(name, flags.verbose);
    this.tellWhatIsBrought(now);
    return await this.changed(now);
  }

  /** The name of what is in a file is known when it is installed. @throws OverlayError PLUGIN_INVALID */
  async #removeBundled(name: string, isVerbose: boolean): Promise<void> {
    try {
      this.refuseBundled(name);
    } catch (error) {
      await this.runProgram({ id: 'plugins:uninstall', args: [name] }, isVerbose, 'uninstalled', name);
      throw error;
    }
  }
}
