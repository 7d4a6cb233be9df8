import { describe, escaped, listed, nearest, printable } from './text.js';

/** Every code; also of errors that are not made again where they are read. */
export const CODES = [
  'CANVAS',
  'CHILD_PROCESS',
  'CLOSED',
  'CONNECTION',
  'CORRUPT_JOB',
  'DUPLICATE_TASK',
  'EXPECTED_FAILURE',
  'EXPIRED',
  'IDEMPOTENCY_CONFLICT',
  'INVALID_OPTION',
  'JOB_STATE',
  'LOCK_LOST',
  'LOST_JOB',
  'MISSING_PACKAGE',
  'POISON_JOB',
  'REJECTED',
  'REVOKED',
  'SCHEDULE',
  'SKIPPED',
  'STORE_CONFIGURATION',
  'SUBMIT',
  'TASK_FAILED',
  'TESTING',
  'TIMEOUT',
  'TIME_LIMIT',
  'UNBOUND_TASK',
  'UNKNOWN_JOB',
  'UNKNOWN_QUEUE',
  'UNKNOWN_SCHEDULE',
  'UNKNOWN_TASK',
  'UNRECOVERABLE',
  'UPSTREAM_FAILED',
  'VALIDATION',
  'WORKER_CLOSED',
] as const;

/** What tells one kind of error from another in a program: it stays when a class or a message changes. */
export type UmbelErrorCode = (typeof CODES)[number];

/** Tells our errors apart also when two copies of this package are loaded. */
export const BRAND = Symbol.for('umbel.error');

/** The base of every error that Umbel throws on purpose. */
export abstract class UmbelError extends Error {
  override readonly name: string = 'UmbelError';
  abstract readonly code: UmbelErrorCode;

  constructor(message?: string, options?: ErrorOptions) {
    // Messages quote what others have stored, and are printed.
    super(message === undefined ? message : printable(message), options);
  }

  /** @internal */
  readonly [BRAND] = true;
}

/** True for every error that Umbel throws on purpose; with `code`, for those of that kind. */
export function isUmbelError(error: unknown, code?: UmbelErrorCode): error is UmbelError {
  if (typeof error !== 'object' || error === null || !(BRAND in error)) return false;
  return code === undefined || (error as UmbelError).code === code;
}

// How a job, or one attempt at it, ends other than with a result.

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

// Jobs that are not as they were expected to be.

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

// What a program has asked for and cannot have: it is to be changed.

/** An option has a value it cannot have. Thrown where the option is given, before anything is sent. */
export class InvalidOptionError extends UmbelError {
  override readonly name = 'InvalidOptionError';
  readonly code = 'INVALID_OPTION';

  constructor(
    readonly option: string,
    readonly expected: string,
    readonly received: unknown,
  ) {
    super(`Expected \`${option}\` to be ${expected}, got ${describe(received)}.`);
  }
}

/** Two tasks of one app have the same name. */
export class DuplicateTaskError extends UmbelError {
  override readonly name = 'DuplicateTaskError';
  readonly code = 'DUPLICATE_TASK';

  constructor(readonly task: string) {
    super(
      `Task "${task}" is already defined in this app. Give one of the two another name; if they are one, define it once, ` +
        'where its module is loaded: not in a handler or a request, nor in a module that is loaded twice.',
    );
  }
}

/** A worker received a job for a task that it does not hold a handler for. */
export class UnknownTaskError extends UmbelError {
  override readonly name = 'UnknownTaskError';
  readonly code = 'UNKNOWN_TASK';

  constructor(
    readonly task: string,
    readonly known: readonly string[],
  ) {
    super(
      `Task "${escaped(task)}" has no handler in this worker (known: ${listed(known)}). ${meant(task, known)}` +
        'Import the module that defines or implements it before starting the worker.',
    );
  }
}

/** A contract was sent without being bound to an app. */
export class UnboundTaskError extends UmbelError {
  override readonly name = 'UnboundTaskError';
  readonly code = 'UNBOUND_TASK';

  constructor(readonly task: string) {
    super(
      `Task "${task}" is not bound to an app, so there is nowhere to send it. ` +
        'Define it with app.defineTask(…), or call app.bind(contract) and use what that returns.',
    );
  }
}

/** A composition is needed and `@umbel/canvas`, which makes and plans them, was not imported. */
export class CanvasNotLoadedError extends UmbelError {
  override readonly name = 'CanvasNotLoadedError';
  readonly code = 'CANVAS';

  constructor(what: string) {
    super(
      `${what} needs @umbel/canvas: import it once (\`import "@umbel/canvas"\`). ` +
        'If it is imported, two copies of @umbel/core are loaded: `npm ls @umbel/core` shows them.',
    );
  }
}

/** A task's input, result, progress or declared failure does not fit its schema, or JSON would change it. Never retried. */
export class ValidationError extends UmbelError {
  override readonly name = 'ValidationError';
  readonly code = 'VALIDATION';

  constructor(
    readonly task: string,
    readonly subject: ValidationSubject,
    readonly issues: readonly ValidationIssue[],
  ) {
    const list = issues.map((issue) => `\n  ${escaped(issue.path)}: ${issue.message}`).join('');
    super(`The ${subject} of task "${escaped(task)}" is not valid:${list}`);
  }
}

/** A call has the idempotency key of an earlier one, and another input. Nothing was sent. */
export class IdempotencyConflictError extends UmbelError {
  override readonly name = 'IdempotencyConflictError';
  readonly code = 'IDEMPOTENCY_CONFLICT';

  constructor(
    readonly task: string,
    readonly idempotencyKey: string,
    readonly jobId: string,
  ) {
    super(
      `Idempotency key ${describe(idempotencyKey)} of ${task === 'run' ? 'a composition' : `task "${task}"`} was used before with another input (job ${jobId}). ` +
        'Use a key that is made from what makes the call unique.',
    );
  }
}

/** A call or a worker names a queue that the app does not have, so that nobody would serve it. */
export class UnknownQueueError extends UmbelError {
  override readonly name = 'UnknownQueueError';
  readonly code = 'UNKNOWN_QUEUE';

  constructor(
    readonly queue: string,
    readonly known: readonly string[],
  ) {
    super(
      `Queue ${describe(queue)} is not one of this app's (${listed(known)}). ${meant(queue, known)}` +
        'Correct the name, or list it in createApp({ queues }).',
    );
  }
}

/** A package is not installed that only a part of Umbel needs, and which is therefore an optional peer. */
export class MissingPackageError extends UmbelError {
  override readonly name = 'MissingPackageError';
  readonly code = 'MISSING_PACKAGE';

  constructor(
    readonly needs: string,
    what: string,
    options?: ErrorOptions,
  ) {
    super(`${what} needs the package ${needs}, which is not installed: npm install ${needs}`, options);
  }
}

/** A schedule cannot be declared or stored: its name is taken, or its target cannot be sent as it is. */
export class ScheduleError extends UmbelError {
  override readonly name = 'ScheduleError';
  readonly code = 'SCHEDULE';

  constructor(
    readonly schedule: string,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`Schedule "${schedule}" ${reason}`, options);
  }
}

/** The store holds no schedule of this name. */
export class UnknownScheduleError extends UmbelError {
  override readonly name = 'UnknownScheduleError';
  readonly code = 'UNKNOWN_SCHEDULE';

  constructor(readonly schedule: string) {
    super(
      `The store holds no schedule "${schedule}". If the code declares it, store it with app.schedules.sync(), ` +
        'or start a worker that declares it.',
    );
  }
}

function meant(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? '' : `Did you mean "${near}"? `;
}

/** Errors as plain data. */

/** One thing that is wrong with a value. */
export interface ValidationIssue {
  /** Where: `input.to`, `result[3].url`. */
  readonly path: string;
  /** What was expected and what came, in the schema library's words. */
  readonly message: string;
}

/** What of a task is not valid. */
export type ValidationSubject = 'input' | 'result' | 'progress' | 'failure';

/** An error as it is stored with its job: plain data, readable by every client. */
export interface ErrorRecord {
  /** The error's `name`; where its class has left that as the class above it sets it, the name of its class. */
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string | number;
  /** Of a `ValidationError`, with the next two. */
  readonly issues?: readonly ValidationIssue[];
  readonly task?: string;
  readonly subject?: ValidationSubject;
  /** Of an `ExpectedFailureError`, with `data`. */
  readonly failure?: string;
  readonly data?: unknown;
  /**
   * The error's own enumerable data fields, as JSON: up to 8,000 characters of them, without objects of classes. Values of
   * the task's `sensitive` keys, and of keys that name a credential (`password`, `authorization`, `accessToken` …), are
   * `'***'`.
   */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Down to five levels, and thirty errors in all. */
  readonly cause?: ErrorRecord;
  /** The first ten errors of an `AggregateError`, or of another error's `errors`. */
  readonly errors?: readonly ErrorRecord[];
  /** How many errors of that list were not kept. */
  readonly omittedErrors?: number;
}

/** The step of a run that failed first. */
export interface FailureOrigin {
  readonly task: string;
  readonly jobId: string;
  /** Attempts that were made. */
  readonly attempts?: number;
  /** Absent: failed. */
  readonly state?: 'expired' | 'revoked' | 'skipped';
  /** Of `chunks`: which of all the inputs its handler failed at. */
  readonly index?: number;
  readonly error: ErrorRecord;
}

// The store, and what is connected to it.

/** A worker or an app was closed, so that what was asked of it cannot happen any more. */
export class ClosedError extends UmbelError {
  override readonly name = 'ClosedError';
  readonly code = 'CLOSED';
}

/** The store could not be reached. */
export class ConnectionError extends UmbelError {
  override readonly name = 'ConnectionError';
  readonly code = 'CONNECTION';
}

/** The store is set up so that it may lose jobs. Thrown before a worker takes any. */
export class StoreConfigurationError extends UmbelError {
  override readonly name = 'StoreConfigurationError';
  readonly code = 'STORE_CONFIGURATION';
}

/** The store accepted only a part of a run. What it accepted does not run to an end by itself. */
export class SubmitError extends UmbelError {
  override readonly name = 'SubmitError';
  readonly code = 'SUBMIT';
}

/**
 * Every error class of the package. One class for each thing a caller would handle differently; data are fields,
 * `name` is literal, the original error is in `cause`.
 */
