// Errors on the control socket: from whatever was thrown to a JSON-RPC error object, and back to an OverlayError.
import { OverlayError } from '@overlayadm/api';
import type { ErrorData } from './protocol.ts';

export { messageOf, OverlayError } from '@overlayadm/api';

/** Codes of JSON-RPC 2.0 §5.1; the last one, of the range left to servers, goes with every OverlayError. */
export const RPC_CODES = { parse: -32700, request: -32600, method: -32601, params: -32602, overlay: -32000 } as const;

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data: ErrorData;
}

const CODE_OF: Readonly<Record<string, number>> = {
  RPC_PARSE: RPC_CODES.parse,
  RPC_REQUEST: RPC_CODES.request,
  RPC_UNKNOWN_METHOD: RPC_CODES.method,
  RPC_INVALID: RPC_CODES.params,
};

export function toRpcError(error: OverlayError): RpcError {
  const { code, details, advice } = error;
  return { code: CODE_OF[code] ?? RPC_CODES.overlay, message: error.message, data: { code, details, ...(advice === undefined ? {} : { advice }) } };
}

/** Total: an error object of a program that is not ours becomes an OverlayError too. */
export function fromRpcError(value: unknown): OverlayError {
  const { message, data } = asRecord(value);
  const { code, details, advice } = asRecord(data);
  return new OverlayError(
    typeof code === 'string' ? code : 'RPC_MALFORMED',
    typeof message === 'string' ? message : 'overlayd: an error without a text',
    { details: asRecord(details), ...(typeof advice === 'string' ? { advice } : {}) },
  );
}

export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}
