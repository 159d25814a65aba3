// up-overlay: brings up what is saved, one or all; one that cannot be does not keep the others down.
import { messageOf, OverlayError } from '@overlayadm/api';
import type { Overlays } from '../overlay/overlays.ts';
import type { Records } from '../overlay/records.ts';
import { toRpcError } from '../rpc/errors.ts';
import type { Failed, UpResult } from '../rpc/protocol.ts';

export interface UpParts {
  readonly overlays: Pick<Overlays, 'savedNames' | 'up'>;
  readonly records: Pick<Records, 'load'>;
}

/** `name`: null for everything that is saved. Files that were mended meanwhile are read again. */
export async function bringUp({ overlays, records }: UpParts, name: string | null): Promise<UpResult> {
  await records.load();
  const up: string[] = [];
  const failed: Failed[] = [];
  for (const each of name === null ? overlays.savedNames() : [name]) {
    try {
      await overlays.up(each);
      up.push(each);
    } catch (error) {
      failed.push(failureOf(each, error));
    }
  }
  return { up, failed, warnings: [] };
}

function failureOf(name: string, error: unknown): Failed {
  const known = OverlayError.is(error) ? error : new OverlayError('INTERNAL', messageOf(error));
  const { message, data } = toRpcError(known);
  return { name, message, ...data };
}
