import type { FailureOrigin } from '../errors.js';
import type { FailureRecord } from './options.js';

/** A failure as callbacks and joins receive it. */
export function recordOf({ task, jobId, attempts = 1, index, error }: FailureOrigin): FailureRecord {
  const { name, message, code } = error;
  return {
    task,
    jobId,
    attempts,
    ...(index !== undefined && { index }),
    error: { name, message, ...(code !== undefined && { code }) },
  };
}
