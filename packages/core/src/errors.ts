/**
 * Every error class of the package. One class for each thing a caller would handle differently; data are fields,
 * `name` is literal, the original error is in `cause`.
 */

/** The base of every error that Umbel throws on purpose. */
export class UmbelError extends Error {
  override readonly name: string = 'UmbelError';
}

/** True for every error that Umbel throws on purpose. */
export function isUmbelError(error: unknown): error is UmbelError {
  return error instanceof UmbelError;
}

/** An option has a value it cannot have. Thrown where the option is given, before anything is sent. */
export class InvalidOptionError extends UmbelError {
  override readonly name = 'InvalidOptionError';

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

  constructor(readonly task: string) {
    super(`Task "${task}" is already defined in this app. Give one of the two another name.`);
  }
}

/** A worker received a job for a task that it does not hold a handler for. */
export class UnknownTaskError extends UmbelError {
  override readonly name = 'UnknownTaskError';

  constructor(
    readonly task: string,
    readonly known: readonly string[],
  ) {
    const list = known.length === 0 ? 'none' : known.map((name) => `"${name}"`).join(', ');
    super(
      `Task "${task}" has no handler in this worker (known: ${list}). ` +
        'Import the module that defines or implements it before starting the worker.',
    );
  }
}

/** A contract was sent without being bound to an app. */
export class UnboundTaskError extends UmbelError {
  override readonly name = 'UnboundTaskError';

  constructor(readonly task: string) {
    super(
      `Task "${task}" is not bound to an app, so there is nowhere to send it. ` +
        'Define it with app.defineTask(…), or call app.bind(contract) and use what that returns.',
    );
  }
}

/** One thing that is wrong with a value. */
export interface ValidationIssue {
  /** Where: `input.to`, `result[3].url`. */
  readonly path: string;
  /** What was expected and what came, in the schema library's words. */
  readonly message: string;
}

/** A task's input or result does not fit its schema, or JSON would change it. Never retried. */
export class ValidationError extends UmbelError {
  override readonly name = 'ValidationError';

  constructor(
    readonly task: string,
    readonly subject: 'input' | 'result',
    readonly issues: readonly ValidationIssue[],
  ) {
    const list = issues.map((issue) => `\n  ${issue.path}: ${issue.message}`).join('');
    super(`The ${subject} of task "${task}" is not valid:${list}`);
  }
}

/** A stored job cannot be read as an Umbel job. */
export class CorruptJobError extends UmbelError {
  override readonly name = 'CorruptJobError';

  constructor(
    readonly jobId: string,
    reason: string,
  ) {
    super(`Job ${jobId} cannot be run: ${reason}`);
  }
}

/** A step did not run because an earlier step of its run failed; `origin` tells which one. */
export class UpstreamFailedError extends UmbelError {
  override readonly name = 'UpstreamFailedError';

  constructor(readonly origin: FailureOrigin) {
    super(`Not run: task "${origin.task}" (job ${origin.jobId}) failed: ${origin.error.message}`);
  }
}

/** What `get()` rejects with: the task or the run failed for good. `cause` is the original error. */
export class TaskFailedError extends UmbelError {
  override readonly name = 'TaskFailedError';
  /** The error that the handler threw, rebuilt. */
  declare readonly cause: Error;

  constructor(
    /** The task whose handler failed; in a run, the first step that failed. */
    readonly task: string,
    /** The job of that task. */
    readonly jobId: string,
    cause: Error,
  ) {
    super(`Task "${task}" failed (job ${jobId}): ${cause.message}`, { cause });
  }
}

/** An error that was thrown in another process and has no class of its own here. */
export class RemoteError extends UmbelError {
  override readonly name: string;

  constructor(record: ErrorRecord) {
    super(record.message);
    this.name = record.name;
  }
}

/** `get({ timeout })` gave up waiting. The job itself goes on. */
export class TimeoutError extends UmbelError {
  override readonly name = 'TimeoutError';

  constructor(
    readonly jobId: string,
    readonly timeoutMs: number,
    readonly state: string,
  ) {
    super(
      `Job ${jobId} has no result after ${timeoutMs} ms (state: ${state}). ` +
        (state === 'waiting' || state === 'waiting-children'
          ? 'Is a worker running that serves the queues of its tasks?'
          : 'It goes on; call get() again to wait longer.'),
    );
  }
}

/** The store holds no job with this id: it was never sent, or its result has expired. */
export class UnknownJobError extends UmbelError {
  override readonly name = 'UnknownJobError';

  constructor(
    readonly jobId: string,
    readonly queue: string,
  ) {
    super(`Queue "${queue}" holds no job ${jobId}: it was never sent there, or its result has expired.`);
  }
}

/** A worker or an app was closed, so that what was asked of it cannot happen any more. */
export class ClosedError extends UmbelError {
  override readonly name = 'ClosedError';
}

/** The store could not be reached. */
export class ConnectionError extends UmbelError {
  override readonly name = 'ConnectionError';
}

/** The store accepted only a part of a run. What it accepted does not run to an end by itself. */
export class SubmitError extends UmbelError {
  override readonly name = 'SubmitError';
}

/** An error as it is stored with its job: plain data, readable by every client. */
export interface ErrorRecord {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string | number;
  /** Of a `ValidationError`, with the next two. */
  readonly issues?: readonly ValidationIssue[];
  readonly task?: string;
  readonly subject?: 'input' | 'result';
  readonly cause?: ErrorRecord;
}

/** The step of a run that failed first. */
export interface FailureOrigin {
  readonly task: string;
  readonly jobId: string;
  readonly error: ErrorRecord;
}

/** A short form of any value for a message: quoted text, a number, or the kind of thing it is. */
function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (value === null || ['number', 'boolean', 'undefined', 'bigint'].includes(typeof value))
    return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
