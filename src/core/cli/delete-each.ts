// Deletes several objects: goes on after a failure, and remembers each for --json.
import type { OverlayError } from '../rpc/errors.ts';
import { failed } from './failures.ts';
import { type ErrorReport, reportJson } from './report.ts';

export interface DeleteResult {
  readonly deleted: readonly string[];
  readonly failed: readonly (ErrorReport & { readonly name: string })[];
}

/** `tell` is told of each failure as it happens. Its text is `failed to delete NAME: ...` there and in the result. */
export async function deleteEach(
  names: readonly string[],
  remove: (name: string) => Promise<unknown>,
  tell: (error: OverlayError) => void,
): Promise<DeleteResult> {
  const result = { deleted: [] as string[], failed: [] as DeleteResult['failed'][number][] };
  for (const name of names) {
    try {
      await remove(name);
      result.deleted.push(name);
    } catch (thrown) {
      const error = failed(thrown, `failed to delete ${name}`, [name]);
      tell(error);
      result.failed.push({ name, ...reportJson(error).error });
    }
  }
  return result;
}
