// show-linkprop as an oclif command; what it is and does is in core/cli/show.
import { SHOW_LINKPROP } from '../core/cli/show/show-linkprop.ts';
import { showCommand } from '../core/cli/show-command.ts';

export default showCommand(SHOW_LINKPROP);
