// create-overlay: makes an overlay device.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../core/cli/base-command.ts';
import { checkNewLink, checkPluginName } from '../core/cli/checked-names.ts';
import { temporary } from '../core/cli/common-flags.ts';
import { parsePropertyArguments } from '../core/cli/property-arguments.ts';
import { required } from '../core/cli/usage.ts';
import { parseVnetid } from '../core/cli/vnetid.ts';
import type { CreateOverlayResult } from '../core/rpc/protocol.ts';

export default class CreateOverlay extends BaseCommand<CreateOverlayResult> {
  static override summary = 'Create an overlay.';
  static override description = `Makes a network device for the virtual network VNETID and starts forwarding for it. Without a name the lowest \
free overlayN is taken and printed. Either everything succeeds, or nothing is left and the message says which step refused. \
It is made again after a reboot, unless -t is given.`;
  static override usage = 'create-overlay [-t] -e ENCAP -s SEARCH -v VNETID [-p PROP=VALUE[,...]]... [OVERLAY]';
  static override examples = [
    '<%= config.bin %> create-overlay -e vxlan -s direct -v 23 -p vxlan/listen_ip=192.0.2.1,direct/dest_ip=192.0.2.2,direct/dest_port=4789',
    '<%= config.bin %> create-overlay -e vxlan -s files -v 23 -p vxlan/listen_ip=192.0.2.1 -p files/config=/etc/overlayadm/net23.json overlay0',
  ];

  // Nothing is read from standard input, as oclif would for an operand that is not there.
  static override args = { overlay: Args.string({ description: 'name of the new device', ignoreStdin: true }) };

  static override flags = {
    temporary: temporary('Not kept over a reboot.'),
    encap: Flags.string({ char: 'e', helpValue: 'ENCAP', summary: 'Encapsulation plugin: how a frame is put on the wire (required).' }),
    search: Flags.string({ char: 's', helpValue: 'SEARCH', summary: 'Lookup plugin: where a frame is sent (required).' }),
    vnetid: Flags.string({ char: 'v', helpValue: 'VNETID', summary: 'Number of the virtual network (required).' }),
    prop: Flags.string({
      char: 'p',
      helpValue: 'PROP=VALUE',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Set properties; several with commas.',
    }),
  };

  async run(): Promise<CreateOverlayResult> {
    const { args, flags } = await this.parse(CreateOverlay);
    // The order of dladm create-overlay.
    checkPluginName('encapsulation', flags.encap);
    checkPluginName('search', flags.search);
    const given = flags.vnetid === undefined ? undefined : parseVnetid(flags.vnetid);
    const vnetid = required(given, 'missing required virtual network id', '-v VNETID');
    const encap = required(flags.encap, 'missing required encapsulation plugin', '-e ENCAP');
    const search = required(flags.search, 'missing required search plugin', '-s SEARCH');
    if (args.overlay !== undefined) checkNewLink(args.overlay);
    const properties = parsePropertyArguments(flags.prop ?? []);
    await using client = await this.connect();
    const name = args.overlay === undefined ? {} : { name: args.overlay };
    const created = await client.call('overlay.create', { ...name, encap, search, vnetid, properties, temporary: flags.temporary });
    for (const warning of created.warnings) this.warn(warning);
    if (args.overlay === undefined) this.log(created.name);
    return created;
  }
}
