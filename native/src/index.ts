// The door to the addon: loads the compiled file that fits this machine and gives it its type.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { PacketIo } from './types.ts';

export * from './types.ts';

const require = createRequire(import.meta.url);

/** Where install.mjs puts what it compiles, and where a published package has its prebuilt file. */
const prebuilt = (name: string): string => fileURLToPath(new URL(`../prebuilds/linux-${process.arch}/${name}`, import.meta.url));

export const addonPath = (): string => prebuilt('packetio.node');

/**
 * The program that starts overlayd where there is no systemd and holds its descriptors; undefined when it is not built for this machine.
 * What it gives to its child, and what the child says to it over $OVERLAYD_KEEPER_FD by notifyOver(), stands at the top of src/keeper.cc.
 */
export function keeperPath(): string | undefined {
  const path = prebuilt('overlayd-keeper');
  return existsSync(path) ? path : undefined;
}

/** Loads the addon. Each thread that calls it gets an instance of its own. @throws Error that names the file when it is missing or does not fit. */
export function loadPacketIo(): PacketIo {
  const path = addonPath();
  try {
    return require(path) as PacketIo;
  } catch (error) {
    throw new Error(`cannot load ${path}; run "npm rebuild @overlayadm/packetio" (needs g++)`, { cause: error });
  }
}
