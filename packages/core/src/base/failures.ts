/** Errors that a job or an attempt ends with. This file needs the other errors and is needed by none of them. */
import { BRAND, CODES, type ErrorRecord, type FailureOrigin, UmbelError } from './errors.js';
import { escaped, printable } from './text.js';

/**
 * `get()` rejects with this when the job or the workflow run failed for good. `cause` is the original error.
 * @example
 * try {
 *   await result.get();
 * } catch (error) {
 *   if (error instanceof TaskFailedError) console.error(error.task, error.jobId, error.cause);
 * }
 */
export class TaskFailedError extends UmbelError {
  override readonly name = 'TaskFailedError';
  readonly code = 'TASK_FAILED';
  /** The error that the handler threw, rebuilt. */
  declare readonly cause: Error;

  constructor(
    /** The task whose handler failed; in a workflow run, the task of the step that failed first. */
    readonly task: string,
    /** The id of the job that failed. */
    readonly jobId: string,
    cause: Error,
    /** The final state of the job. */
    readonly state: 'failed' | 'expired' | 'revoked' | 'skipped' = 'failed',
    /** In `chunks`: the index of the failed input among all inputs, from 0. */
    readonly index?: number,
  ) {
    const at = index === undefined ? '' : ` at input ${index}`;
    super(`Task "${escaped(task)}" failed${at} (job ${escaped(jobId)}): ${cause.message}`, { cause });
  }
}

/**
 * An error from another process whose class does not exist here. `name`, `code`, `stack`, `cause`, `errors` and the data
 * fields are copied from the original.
 * @example
 * if (error.cause instanceof RemoteError && 'status' in error.cause) console.error(error.cause.status);
 */
export class RemoteError extends Error {
  override readonly name: string;
  declare readonly code?: string | number;
  /** The first ten inner errors, if the original had a list of them. */
  declare readonly errors?: readonly Error[];

  constructor(record: ErrorRecord) {
    super(printable(record.message));
    this.name = escaped(record.name);
    // An Umbel error that is not rebuilt with its class still has its code, so `isUmbelError` must recognise it.
    if ((CODES as readonly unknown[]).includes(record.code))
      Object.defineProperty(this, BRAND, { value: true });
  }
}

/** An attempt took longer than the task's `timeout`. It is the reason of `ctx.signal`, and the attempt counts as failed. */
export class TimeLimitError extends UmbelError {
  override readonly name = 'TimeLimitError';
  readonly code = 'TIME_LIMIT';
}

/** A job was not started before its `expires` passed, so it never runs. */
export class ExpiredError extends UmbelError {
  override readonly name = 'ExpiredError';
  readonly code = 'EXPIRED';
}

/**
 * `waitFor(signal, { onTimeout: 'fail' })` got no signal in time. It is the `cause` of the run's error. Never retried.
 * @example
 * if (error.cause instanceof SignalTimeoutError) console.log(error.cause.signal, error.cause.key);
 */
export class SignalTimeoutError extends UmbelError {
  override readonly name = 'SignalTimeoutError';
  readonly code = 'SIGNAL_TIMEOUT';
  /** The name of the signal. */
  declare readonly signal: string;
  /** The key of the wait. */
  declare readonly key: string;
}

/** Returns the error of a wait that got no signal in time. */
export function signalTimeoutError(signal: string, key: string, waitedMs: number): SignalTimeoutError {
  const error = new SignalTimeoutError(
    `Signal "${escaped(signal)}" with the key "${escaped(key)}" was not sent within ${waitedMs} ms.`,
  );
  return Object.assign(error, { signal, key });
}

/**
 * Two waits have the same signal and the same key at the same time, so a signal could not say which one it is for. The
 * later wait fails with this. Never retried.
 */
export class SignalConflictError extends UmbelError {
  override readonly name = 'SignalConflictError';
  readonly code = 'SIGNAL_CONFLICT';
  declare readonly signal: string;
  declare readonly key: string;
  /** The id of the job that waits already. */
  declare readonly waitingJob: string;
}

/** Returns the error of a wait whose signal and key another wait has. */
export function signalConflictError(signal: string, key: string, waitingJob: string): SignalConflictError {
  const error = new SignalConflictError(
    `Job ${escaped(waitingJob)} already waits for signal "${escaped(signal)}" with the key "${escaped(key)}". ` +
      'Give each wait its own key: `key` names a key of the previous result whose value is unique.',
  );
  return Object.assign(error, { signal, key, waitingJob });
}

/** A job was revoked: it never runs, or the signal of its running handler was aborted. */
export class RevokedError extends UmbelError {
  override readonly name = 'RevokedError';
  readonly code = 'REVOKED';
}

/** A job was not started because its result is no longer needed. */
export class SkippedError extends UmbelError {
  override readonly name = 'SkippedError';
  readonly code = 'SKIPPED';
}

/**
 * The child process of an isolated task cannot run the handler, or ended before it: the attempt counts as failed.
 * `worker.start()` also rejects with this if a process of a multi-process worker ended before it was ready, or if a worker
 * in a bundle serves isolated tasks.
 */
export class ChildProcessError extends UmbelError {
  override readonly name = 'ChildProcessError';
  readonly code = 'CHILD_PROCESS';
}

/** A handler called `ctx.reject(reason)`: the job fails at once, without retries. */
export class RejectedError extends UmbelError {
  override readonly name = 'RejectedError';
  readonly code = 'REJECTED';
}

/**
 * A handler throws this, or a subclass, to fail its job at once, without retries.
 * @example
 * if (response.status === 404) throw new UnrecoverableError('the page does not exist');
 */
export class UnrecoverableError extends UmbelError {
  override readonly name: string = 'UnrecoverableError';
  readonly code = 'UNRECOVERABLE';
}

/**
 * A handler called `ctx.fail(failure, data)` with one of the failures that its task declares. Never retried.
 * @example
 * if (error.cause instanceof ExpectedFailureError) console.log(error.cause.failure, error.cause.data);
 */
export class ExpectedFailureError extends UmbelError {
  override readonly name = 'ExpectedFailureError';
  readonly code = 'EXPECTED_FAILURE';

  constructor(
    readonly failure: string,
    readonly data: unknown,
  ) {
    super(`Task failed with its declared failure "${escaped(failure)}"`);
  }
}

/**
 * The worker process of a job ended before the handler did, several times, while no other job ran there. Umbel assumes
 * that the handler is the cause, and does not start the job again. Never retried; it can be replayed from the dead letters.
 */
export class PoisonJobError extends UmbelError {
  override readonly name = 'PoisonJobError';
  readonly code = 'POISON_JOB';
}

/** An attempt continued after its worker had lost the job to another worker. The outcome of the attempt is ignored. */
export class LockLostError extends UmbelError {
  override readonly name = 'LockLostError';
  readonly code = 'LOCK_LOST';

  constructor(readonly jobId: string) {
    super(
      `Job ${escaped(jobId)} now belongs to another worker, because this worker did not renew the lock in time: it was ` +
        'disconnected from the store, or its event loop was blocked. The job runs again; the outcome of this attempt is ignored.',
    );
  }
}

/**
 * The reason of `ctx.signal` for a job that was still running when its worker closed. The job runs again on another
 * worker, and the interrupted attempt is not counted.
 */
export class WorkerClosedError extends UmbelError {
  override readonly name = 'WorkerClosedError';
  readonly code = 'WORKER_CLOSED';

  constructor(readonly jobId: string) {
    super(
      `Job ${escaped(jobId)} was interrupted: its worker closed before the handler ended. The job returns to its queue, this ` +
        'attempt is not counted, and its outcome is ignored.',
    );
  }
}

/** A step did not run because an earlier step of its workflow run failed. `origin` identifies that step. */
export class UpstreamFailedError extends UmbelError {
  override readonly name = 'UpstreamFailedError';
  readonly code = 'UPSTREAM_FAILED';

  constructor(readonly origin: FailureOrigin) {
    super(
      `Not run: task "${escaped(origin.task)}" (job ${escaped(origin.jobId)}) failed: ${origin.error.message}`,
    );
  }
}
