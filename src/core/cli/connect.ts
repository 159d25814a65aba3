// Connects to overlayd; loads what starts it only when it does not answer.
import { join } from 'node:path';
import { type Client, connect } from '../rpc/client.ts';
import { OverlayError } from '../rpc/errors.ts';
import { directoriesOf, type Environment, socketPath } from '../util/directories.ts';
import { commandClock } from './clock.ts';

export interface Installation {
  /** Folder of the package. */
  readonly root: string;
  readonly version: string;
}

/** @throws OverlayError what connectOrStart() throws. */
export async function connectToDaemon({ root, version }: Installation, environment: Environment): Promise<Client> {
  const directories = directoriesOf(environment);
  try {
    return await connect(socketPath(directories), { version, clock: commandClock });
  } catch (error) {
    if (!OverlayError.is(error) || error.code !== 'RPC_UNREACHABLE') throw error;
    const { connectOrStart } = await import('./autostart.ts');
    return connectOrStart({ directories, environment, program: join(root, 'bin/overlayd'), version, clock: commandClock });
  }
}
