/** What was thrown in one process, with the same effect in another. */
import { type ErrorRecord, isUmbelError, UmbelError, type UmbelErrorCode } from '../../errors.js';
import { RetryRequest } from '../../tasks/retry.js';
import { rebuildError, recordError, restore, toError } from '../../wire/error-record.js';

export interface Thrown {
  readonly error: ErrorRecord;
  /** Of one of Umbel's kinds of error, whose code decides about retries; its class may be derived from Umbel's. */
  readonly kind?: UmbelErrorCode;
  /** What `ctx.retry` asked for. */
  readonly retry?: { readonly delayMs: number | undefined; readonly isCounted: boolean };
}

export function recordThrown(thrown: unknown): Thrown {
  const error = toError(thrown);
  return {
    error: recordError(error),
    ...(isUmbelError(error) && { kind: error.code }),
    ...(error instanceof RetryRequest && { retry: { delayMs: error.delayMs, isCounted: error.isCounted } }),
  };
}

export function rebuildThrown({ error: record, kind, retry }: Thrown): Error {
  const rebuilt = rebuildError(record);
  if (retry !== undefined) {
    const request = new RetryRequest(record.message, retry.delayMs, undefined, retry.isCounted);
    return restore(request, record);
  }
  if (kind === undefined || isUmbelError(rebuilt)) return rebuilt;
  return restore(new DistantError(record, kind), record);
}

/** An error of one of Umbel's kinds whose class is not here. */
class DistantError extends UmbelError {
  override readonly name: string;
  readonly code: UmbelErrorCode;

  constructor({ message, name }: ErrorRecord, code: UmbelErrorCode) {
    super(message);
    this.name = name;
    this.code = code;
  }
}
