import { CorruptJobError, UnknownTaskError, UpstreamFailedError, ValidationError } from '../errors.js';

/** True for errors that another attempt cannot mend, so that none is spent on them. */
export function neverRetried(error: unknown): boolean {
  return (
    error instanceof ValidationError ||
    error instanceof UnknownTaskError ||
    error instanceof CorruptJobError ||
    error instanceof UpstreamFailedError ||
    // BullMQ's own, which handlers that come from it may throw.
    (error instanceof Error && error.name === 'UnrecoverableError')
  );
}
