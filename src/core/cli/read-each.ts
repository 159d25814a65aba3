// Reads something of several overlays: one that cannot be read does not hide the others.
import type { Client } from '../rpc/client.ts';
import { OverlayError } from '../rpc/errors.ts';
import type { TargetRow } from '../rpc/protocol.ts';
import { failureOf } from './report.ts';

export interface Names {
  /** Those that were typed; without them every overlay there is. */
  readonly asked: readonly string[] | undefined;
  failed(text: string): void;
}

/** @throws OverlayError when overlayd itself cannot be asked. */
export async function readEach<T>(client: Client, names: Names, read: (name: string) => Promise<readonly T[]>): Promise<readonly T[]> {
  const rows: T[][] = [];
  for (const name of names.asked ?? (await client.call('overlay.names', {}))) {
    try {
      rows.push([...(await read(name))]);
    } catch (error) {
      if (!OverlayError.is(error) || !isOfOverlay(error)) throw error;
      const missing = error.code === 'OVERLAY_NOT_FOUND';
      // Nobody asked for this one by name, so it was deleted between the list and the question.
      if (missing && names.asked === undefined) continue;
      names.failed(failureOf(missing ? 'failed to find' : 'failed to show', name, error.message));
    }
  }
  return rows.flat();
}

/** dladm's words. */
export const notFound = (name: string): string => `failed to find ${name}: object not found`;

/** Errors of the connection would come again with every further name. */
const isOfOverlay = (error: OverlayError): boolean => !error.code.startsWith('RPC_') && error.code !== 'NOT_PERMITTED' && error.code !== 'INTERNAL';

/** All pages of `show-overlay -t`. */
export async function targetsOf(client: Client, name: string): Promise<readonly TargetRow[]> {
  const rows: TargetRow[] = [];
  let after: string | null = null;
  do {
    const page: { readonly rows: readonly TargetRow[]; readonly next: string | null } = await client.call('overlay.targets', { name, after });
    rows.push(...page.rows);
    after = page.next;
  } while (after !== null);
  return rows;
}
