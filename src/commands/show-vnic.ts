// show-vnic as an oclif command; what it is and does is in core/cli/show.
import { SHOW_VNIC } from '../core/cli/show/show-vnic.ts';
import { showCommand } from '../core/cli/show-command.ts';

export default showCommand(SHOW_VNIC);
