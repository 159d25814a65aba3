// show-plugins as an oclif command; what it is and does is in core/cli/show.
import { SHOW_PLUGINS } from '../core/cli/show/show-plugins.ts';
import { showCommand } from '../core/cli/show-command.ts';

export default showCommand(SHOW_PLUGINS);
