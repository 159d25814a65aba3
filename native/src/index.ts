// The door to the addon: loads the compiled file that fits this machine and gives it its type.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { PacketIo } from './types.ts';

export * from './types.ts';

const require = createRequire(import.meta.url);

/** Where install.mjs puts what it compiles, and where a published package has its prebuilt file. */
export const addonPath = (): string => fileURLToPath(new URL(`../prebuilds/linux-${process.arch}/packetio.node`, import.meta.url));

/** Loads the addon. Each thread that calls it gets an instance of its own. @throws Error that names the file when it is missing or does not fit. */
export function loadPacketIo(): PacketIo {
  const path = addonPath();
  try {
    return require(path) as PacketIo;
  } catch (error) {
    throw new Error(`cannot load ${path}; run "npm rebuild @overlayadm/packetio" (needs g++)`, { cause: error });
  }
}
