// show-overlay as an oclif command; what it is and does is in core/cli/show.
import { SHOW_OVERLAY } from '../core/cli/show/show-overlay.ts';
import { showCommand } from '../core/cli/show-command.ts';

export default showCommand(SHOW_OVERLAY);
