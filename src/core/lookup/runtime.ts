// What plugin hosts need of the machine.
import type { ProviderTable } from '../varpd/protocol.ts';
import { discoverProviders, systemDiscovery } from './discovery.ts';
import { type FileAccess, systemFiles } from './files.ts';
import { describeKept, type HostLaunch, type SpawnHost, systemRights, systemSpawn, uidOf, whyNotServiceUser } from './host-process.ts';
import { stampOf } from './stamp.ts';

/** Tests hand in their own. */
export interface HostRuntime {
  /** Never rejects. */
  discover(): Promise<ProviderTable>;
  readonly spawn: SpawnHost;
  /** Another text when the files of the package are others. Never rejects. */
  stamp(launch: HostLaunch): Promise<string>;
  /** What is not as it should be with the rights of this host, for people; undefined when nothing. */
  describeRights(launch: HostLaunch): string | undefined;
  /** User that this host would run as. */
  uidOf(launch: HostLaunch): number;
  readonly files: FileAccess;
}

/** The real thing. `dataDir`: the plugin directory, $OVERLAYADM_DATA_DIR. */
export function systemRuntime(dataDir: string): HostRuntime {
  return {
    discover: () => discoverProviders(systemDiscovery(dataDir)),
    spawn: systemSpawn(),
    stamp: stampOf,
    describeRights: (launch) => {
      const rights = systemRights();
      const folder = whyNotServiceUser(rights, launch);
      return folder === undefined ? undefined : describeKept(rights, launch, folder);
    },
    uidOf: (launch) => uidOf(systemRights(), launch),
    files: systemFiles,
  };
}
