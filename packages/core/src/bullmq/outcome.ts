/** How an attempt has ended, in BullMQ's terms. */
import { DelayedError, type Job, UnrecoverableError, WaitingError } from 'bullmq';
import type { AttemptOutcome, ShownError } from '../running/job.js';

/** An outcome without a result, as BullMQ takes it: thrown. */
export function otherwise(
  job: Job,
  outcome: Exclude<AttemptOutcome, { kind: 'completed' | 'waiting' }>,
): never {
  switch (outcome.kind) {
    case 'lost':
      throw new WaitingError(`Job ${job.id} has been taken by another worker.`);
    case 'returned':
      throw new ReturnedError(outcome.delayMs);
    case 'failed':
      throw withStack(new UnrecoverableError(plainMessage(outcome.error)), outcome.error);
    case 'retry':
      // Read by BullMQ when it handles the error below: it must retry, and wait as long as was decided.
      job.opts.attempts = job.attemptsMade + 2;
      job.opts.backoff = { type: 'fixed', delay: outcome.delayMs };
      throw withStack(new Error(plainMessage(outcome.error)), outcome.error);
  }
}

/** Puts a job back, uncharged: the worker does that, and takes the next job by the same command. */
export class ReturnedError extends DelayedError {
  constructor(readonly delayMs: number) {
    super();
  }
}

/** BullMQ reads a command into one message, which a handler may throw without knowing. */
function plainMessage({ message }: ShownError): string {
  return message.startsWith('bullmq:') ? `Error: ${message}` : message;
}

function withStack(error: Error, { stack }: ShownError): Error {
  error.stack = stack ?? error.message;
  return error;
}
