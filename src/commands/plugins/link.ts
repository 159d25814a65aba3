// plugins link: uses the package in a folder, for those who write one.
import { resolve } from 'node:path';
import { Args } from '@oclif/core';
import { verbose } from '../../core/cli/common-flags.ts';
import { PluginsChangeCommand, type PluginsChanged } from '../../core/cli/plugins-command.ts';

export default class PluginsLink extends PluginsChangeCommand {
  static override summary = 'Use the plugin package in a folder.';
  static override description = `For those who write a plugin: it is used where it is. Nothing is installed there, so run npm install in it \
before. Give the same command again after a change: an overlayd that runs then uses the new code.`;
  static override usage = 'plugins link [-v] DIR';
  static override examples = ['<%= config.bin %> plugins link /home/me/overlayadm-plugin-geneve'];

  static override args = { dir: Args.string({ description: 'folder of the package', required: true, ignoreStdin: true }) };

  static override flags = { verbose };

  async run(): Promise<PluginsChanged> {
    const { args, flags } = await this.parse(PluginsLink);
    this.checkRights('link', args.dir);
    const folder = resolve(args.dir);
    this.checkLinkable(folder);
    await this.runProgram({ id: 'plugins:link', args: [folder, '--no-install'], outside: [folder] }, flags.verbose, 'linked', folder);
    const linked = this.installed().filter((plugin) => plugin.folder === folder);
    this.tellWhatIsBrought(linked);
    return await this.changed(linked);
  }
}
