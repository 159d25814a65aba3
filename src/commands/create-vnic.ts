// create-vnic: makes a VNIC over an overlay.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { checkNewLink } from '../core/cli/checked-names.ts';
import { temporary } from '../core/cli/common-flags.ts';
import { parsePropertyArguments } from '../core/cli/property-arguments.ts';
import { checkedMac } from '../core/cli/target-arguments.ts';
import { required } from '../core/cli/usage.ts';
import { parseVlanId } from '../core/cli/vnetid.ts';
import type { VnicRow } from '../core/rpc/protocol.ts';

export default class CreateVnic extends BaseCommand<VnicRow> {
  static override summary = 'Create a VNIC over an overlay.';
  static override description =
    `The VNIC is a network interface that hosts on the overlay see; give it addresses as any other. With -p netns=NAME it is \
made in that network namespace. Without -m a locally administered MAC address is drawn. With -v what it sends is tagged with that VLAN \
on the overlay, and only frames of that VLAN reach it. It is made again after a reboot, unless -t is given.`;
  static override usage = 'create-vnic [-t] -l OVERLAY [-m MAC] [-v VID] [-p PROP=VALUE[,...]]... VNIC';
  static override examples = [
    '<%= config.bin %> create-vnic -l overlay0 vnic0',
    '<%= config.bin %> create-vnic -l overlay0 -m 02:08:20:00:00:01 -p netns=blue vnic1',
    '<%= config.bin %> create-vnic -l overlay0 -v 7 vnic2',
  ];

  static override args = { vnic: Args.string({ description: 'name of the new VNIC', required: true, ignoreStdin: true }) };

  static override flags = {
    temporary: temporary('Not kept over a reboot.'),
    link: Flags.string({ char: 'l', helpValue: 'OVERLAY', summary: 'Overlay that the VNIC is over (required).' }),
    'mac-address': Flags.string({ char: 'm', helpValue: 'MAC', summary: 'MAC address.' }),
    'vlan-id': Flags.string({ char: 'v', helpValue: 'VID', summary: 'VLAN on the overlay, 1-4094.' }),
    prop: Flags.string({ char: 'p', helpValue: 'PROP=VALUE', multiple: true, multipleNonGreedy: true, summary: 'Set properties: mtu, netns.' }),
  };

  async run(): Promise<VnicRow> {
    const { args, flags } = await this.parse(CreateVnic);
    const overlay = required(flags.link, 'missing required link', '-l OVERLAY');
    const vid = flags['vlan-id'] === undefined ? {} : { vid: parseVlanId(flags['vlan-id']) };
    checkNewLink(args.vnic);
    const properties = parsePropertyArguments(flags.prop ?? []);
    const mac = flags['mac-address'] === undefined ? {} : { mac: checkedMac(flags['mac-address']) };
    await using client = await this.connect();
    return await client.call('vnic.create', { name: args.vnic, overlay, ...mac, ...vid, properties, temporary: flags.temporary });
  }
}
