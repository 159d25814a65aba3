// create-vnic: makes a VNIC over an overlay.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { parsePropertyArguments } from '../core/cli/property-arguments.ts';
import { required } from '../core/cli/usage.ts';
import type { VnicRow } from '../core/rpc/protocol.ts';

export default class CreateVnic extends BaseCommand<VnicRow> {
  static override summary = 'Create a VNIC over an overlay.';
  static override description =
    `The VNIC is a network interface that hosts on the overlay see; give it addresses as any other. With -p netns=NAME it is \
made in that network namespace. Without -m a locally administered MAC address is drawn.`;
  static override usage = 'create-vnic -l OVERLAY [-m MAC] [-p netns=NAME] VNIC';
  static override examples = [
    '<%= config.bin %> create-vnic -l overlay0 vnic0',
    '<%= config.bin %> create-vnic -l overlay0 -m 02:08:20:00:00:01 -p netns=blue vnic1',
  ];

  static override args = { vnic: Args.string({ description: 'name of the new VNIC', required: true, ignoreStdin: true }) };

  static override flags = {
    link: Flags.string({ char: 'l', helpValue: 'OVERLAY', summary: 'Overlay that the VNIC is over (required).' }),
    'mac-address': Flags.string({ char: 'm', helpValue: 'MAC', summary: 'MAC address.' }),
    prop: Flags.string({ char: 'p', helpValue: 'PROP=VALUE', multiple: true, multipleNonGreedy: true, summary: 'Set properties: netns.' }),
  };

  async run(): Promise<VnicRow> {
    const { args, flags } = await this.parse(CreateVnic);
    const overlay = required(flags.link, 'missing required link', '-l OVERLAY');
    const properties = parsePropertyArguments(flags.prop ?? []);
    const mac = flags['mac-address'] === undefined ? {} : { mac: flags['mac-address'] };
    await using client = await this.connect();
    return await client.call('vnic.create', { name: args.vnic, overlay, ...mac, properties });
  }
}
