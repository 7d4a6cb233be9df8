/** Jobs that are not as they were expected to be. */
import { UmbelError } from './base.js';
import { escaped } from './printable.js';

/** A stored job cannot be read as an Umbel job. */
export class CorruptJobError extends UmbelError {
  override readonly name = 'CorruptJobError';
  readonly code = 'CORRUPT_JOB';

  constructor(
    readonly jobId: string,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`Job ${escaped(jobId)} cannot be run: ${escaped(reason)}`, options);
  }
}

/** A step cannot run because a job that it waits for is gone from the store: removed by hand, or evicted. */
export class LostJobError extends UmbelError {
  override readonly name = 'LostJobError';
  readonly code = 'LOST_JOB';

  constructor(readonly jobId: string) {
    super(
      `Job ${escaped(jobId)} is gone from the store and has left no result, so what waits for it cannot run. ` +
        'Was it removed by hand, or does the store evict keys (maxmemory-policy other than noeviction)?',
    );
  }
}

/** The store holds no job with this id: it was never sent, or its result has expired. */
export class UnknownJobError extends UmbelError {
  override readonly name = 'UnknownJobError';
  readonly code = 'UNKNOWN_JOB';

  constructor(
    readonly jobId: string,
    /** Undefined if it was looked for in every queue of the app. */
    readonly queue: string | undefined,
  ) {
    // Users know nothing of the queue of compositions.
    const isUsers = queue !== undefined && queue !== 'umbel';
    const where = isUsers ? `Queue "${escaped(queue)}" does not hold` : 'No queue of this app holds';
    super(`${where} job ${escaped(jobId)}: it was never sent there, or its result has expired.`);
  }
}

/** A job is not in a state in which what was asked of it can be done. */
export class JobStateError extends UmbelError {
  override readonly name = 'JobStateError';
  readonly code = 'JOB_STATE';
}

/** `get({ timeout })` gave up waiting. The job itself goes on. */
export class TimeoutError extends UmbelError {
  override readonly name = 'TimeoutError';
  readonly code = 'TIMEOUT';

  constructor(
    readonly jobId: string,
    readonly timeoutMs: number,
    readonly state: string,
    /** Who is missing, if that is known. */
    unserved?: string,
  ) {
    super(
      `Job ${escaped(jobId)} has no result after ${timeoutMs} ms (state: ${escaped(state)}). ${unserved ?? hintFor(state)}`,
    );
  }
}

function hintFor(state: string): string {
  if (state === 'waiting') {
    return 'Others are in front of it, or its queue is paused (app.inspect.queues() tells); or no worker serves its queue.';
  }
  if (state === 'waiting-children') {
    return 'Some of its steps have not ended: graph() tells which. Is a worker running that serves their queues?';
  }
  return 'It goes on; call get() again to wait longer.';
}
