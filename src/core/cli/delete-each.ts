// Deletes several objects: goes on after a failure, and remembers each for --json.
import { OverlayError } from '../rpc/errors.ts';
import { type ErrorReport, failureOf, reportJson, toOverlayError } from './report.ts';

export interface DeleteResult {
  readonly deleted: readonly string[];
  readonly failed: readonly (ErrorReport & { readonly name: string })[];
}

/** `failed` is told of each failure as it happens, with the text for the person. */
export async function deleteEach(
  names: readonly string[],
  remove: (name: string) => Promise<unknown>,
  failed: (error: OverlayError) => void,
): Promise<DeleteResult> {
  const result = { deleted: [] as string[], failed: [] as DeleteResult['failed'][number][] };
  for (const name of names) {
    try {
      await remove(name);
      result.deleted.push(name);
    } catch (thrown) {
      const error = toOverlayError(thrown);
      failed(withPrefix(error, name));
      result.failed.push({ name, ...reportJson(error).error });
    }
  }
  return result;
}

function withPrefix(error: OverlayError, name: string): OverlayError {
  const { code, message, details, advice } = error;
  const text = failureOf('failed to delete', name, message);
  return new OverlayError(code, text, { details, cause: error, ...(advice === undefined ? {} : { advice }) });
}
