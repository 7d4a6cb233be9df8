/** How a job, or one attempt at it, ends other than with a result. */
import { BRAND, CODES, UmbelError } from './base.js';
import { escaped, printable } from './printable.js';
import type { ErrorRecord, FailureOrigin } from './records.js';

/** What `get()` rejects with: the task or the run failed for good. `cause` is the original error. */
export class TaskFailedError extends UmbelError {
  override readonly name = 'TaskFailedError';
  readonly code = 'TASK_FAILED';
  /** The error that the handler threw, rebuilt. */
  declare readonly cause: Error;

  constructor(
    /** The task whose handler failed; in a run, the first step that failed. */
    readonly task: string,
    /** The job of that task. */
    readonly jobId: string,
    cause: Error,
    /** How it ended. */
    readonly state: 'failed' | 'expired' | 'revoked' | 'skipped' = 'failed',
    /** Of `chunks`: which of all the inputs its handler failed at. */
    readonly index?: number,
  ) {
    const at = index === undefined ? '' : ` at input ${index}`;
    super(`Task "${escaped(task)}" failed${at} (job ${escaped(jobId)}): ${cause.message}`, { cause });
  }
}

/**
 * An error that was thrown in another process and has no class here. `name`, `code`, `stack`, `cause` and `errors` are
 * those of the original, and its data fields are fields of this one: `'status' in error`.
 */
export class RemoteError extends Error {
  override readonly name: string;
  declare readonly code?: string | number;
  /** The inner errors, if the original held a list of them; the first ten. */
  declare readonly errors?: readonly Error[];

  constructor(record: ErrorRecord) {
    super(printable(record.message));
    this.name = escaped(record.name);
    // One of ours that is not made again here, or of a subclass: its code still tells what it is.
    if ((CODES as readonly unknown[]).includes(record.code))
      Object.defineProperty(this, BRAND, { value: true });
  }
}

/** An attempt took longer than the task's `timeout`. Its signal is aborted with this, and it counts as a failure. */
export class TimeLimitError extends UmbelError {
  override readonly name = 'TimeLimitError';
  readonly code = 'TIME_LIMIT';
}

/** A job was not started before its `expires` had passed, so it never runs. */
export class ExpiredError extends UmbelError {
  override readonly name = 'ExpiredError';
  readonly code = 'EXPIRED';
}

/** A job was revoked: it never runs, or its handler was told to stop. */
export class RevokedError extends UmbelError {
  override readonly name = 'RevokedError';
  readonly code = 'REVOKED';
}

/** A job was not started because what it would have given is not needed any more. */
export class SkippedError extends UmbelError {
  override readonly name = 'SkippedError';
  readonly code = 'SKIPPED';
}

/**
 * The child process of an isolated task ended before its handler did, or cannot run it: it counts as a failure. Also what
 * `start()` of a worker of several processes rejects with if one of them ended before it took jobs, and `start()` of a worker
 * in a bundle if it serves isolated tasks.
 */
export class ChildProcessError extends UmbelError {
  override readonly name = 'ChildProcessError';
  readonly code = 'CHILD_PROCESS';
}

/** A handler rejected its job with `ctx.reject(reason)`: it fails at once, whatever its retries. */
export class RejectedError extends UmbelError {
  override readonly name = 'RejectedError';
  readonly code = 'REJECTED';
}

/** Thrown by a handler, or a subclass of it, this ends a job at once, whatever its retries. */
export class UnrecoverableError extends UmbelError {
  override readonly name: string = 'UnrecoverableError';
  readonly code = 'UNRECOVERABLE';
}

/** A handler ended with `ctx.fail(failure, data)`, one of the failures that its task declares. Never retried. */
export class ExpectedFailureError extends UmbelError {
  override readonly name = 'ExpectedFailureError';
  readonly code = 'EXPECTED_FAILURE';

  constructor(
    readonly failure: string,
    readonly data: unknown,
  ) {
    super(`The task failed as it may: ${escaped(failure)}`);
  }
}

/**
 * A job's worker ended at each start before the handler had ended, several times while the job ran alone there: the
 * handler is taken to be why, so the job is not started any more. Never retried; it can be replayed from the dead letters.
 */
export class PoisonJobError extends UmbelError {
  override readonly name = 'PoisonJobError';
  readonly code = 'POISON_JOB';
}

/** An attempt went on after its worker had lost the job to another one. What it gives does not count. */
export class LockLostError extends UmbelError {
  override readonly name = 'LockLostError';
  readonly code = 'LOCK_LOST';

  constructor(readonly jobId: string) {
    super(
      `Job ${escaped(jobId)} was taken by another worker, since this one had not renewed its lock in time: it was cut off from ` +
        'the store, or its event loop was blocked. The job runs again; what this run gives does not count.',
    );
  }
}

/** The reason of `ctx.signal` of a job that had not ended when its worker closed; it runs again elsewhere, uncharged. */
export class WorkerClosedError extends UmbelError {
  override readonly name = 'WorkerClosedError';
  readonly code = 'WORKER_CLOSED';

  constructor(readonly jobId: string) {
    super(
      `The worker of job ${escaped(jobId)} was closed before its handler had ended. The job goes back to its queue, uncharged; ` +
        'what this run gives does not count.',
    );
  }
}

/** A step did not run because an earlier step of its run failed; `origin` tells which one. */
export class UpstreamFailedError extends UmbelError {
  override readonly name = 'UpstreamFailedError';
  readonly code = 'UPSTREAM_FAILED';

  constructor(readonly origin: FailureOrigin) {
    super(
      `Not run: task "${escaped(origin.task)}" (job ${escaped(origin.jobId)}) failed: ${origin.error.message}`,
    );
  }
}
