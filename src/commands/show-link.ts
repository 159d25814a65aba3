// show-link as an oclif command; what it is and does is in core/cli/show.
import { SHOW_LINK } from '../core/cli/show/show-link.ts';
import { showCommand } from '../core/cli/show-command.ts';

export default showCommand(SHOW_LINK);
