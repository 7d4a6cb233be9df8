/**
 * The error classes of Umbel, one for each case that a caller handles differently, and the plain data in which errors are
 * stored. Each class has a literal `name`, a stable `code`, its facts as fields, and the original error in `cause`.
 */
import { describe, escaped, listed, nearest, printable } from './text.js';

/** Every code. A stored error keeps its code even if the reader rebuilds it as a `RemoteError`. */
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
  'SIGNAL_CONFLICT',
  'SIGNAL_TIMEOUT',
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
  'UNKNOWN_SIGNAL',
  'UNKNOWN_TASK',
  'UNRECOVERABLE',
  'UPSTREAM_FAILED',
  'VALIDATION',
  'WORKER_CLOSED',
] as const;

/** Identifies one kind of error. A code stays the same when a class or a message changes. */
export type UmbelErrorCode = (typeof CODES)[number];

/** Marks Umbel's errors. Unlike `instanceof`, it also works when two copies of this package are loaded. */
export const BRAND = Symbol.for('umbel.error');

/**
 * The base class of every error that Umbel throws on purpose.
 * @example
 * try {
 *   await result.get({ timeout: '10s' });
 * } catch (error) {
 *   if (error instanceof UmbelError) console.error(error.code, error.message);
 * }
 */
export abstract class UmbelError extends Error {
  override readonly name: string = 'UmbelError';
  abstract readonly code: UmbelErrorCode;

  constructor(message?: string, options?: ErrorOptions) {
    // Messages quote stored text and are printed to terminals.
    super(message === undefined ? message : printable(message), options);
  }

  /** @internal */
  readonly [BRAND] = true;
}

/**
 * Returns whether `error` is an error that Umbel throws on purpose and, if `code` is given, has that code.
 * @example
 * const value = await result.get({ timeout: '5s' }).catch((error: unknown) => {
 *   if (isUmbelError(error, 'TIMEOUT')) return undefined; // the job continues
 *   throw error;
 * });
 */
export function isUmbelError(error: unknown, code?: UmbelErrorCode): error is UmbelError {
  if (typeof error !== 'object' || error === null || !(BRAND in error)) return false;
  return code === undefined || (error as UmbelError).code === code;
}

// Jobs that are missing, unreadable, or in the wrong state.

/** A stored job is not a valid Umbel job. */
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

/** A step cannot run because a job it waits for is missing from the store: removed by hand, or evicted. */
export class LostJobError extends UmbelError {
  override readonly name = 'LostJobError';
  readonly code = 'LOST_JOB';

  constructor(readonly jobId: string) {
    super(
      `Job ${escaped(jobId)} is missing from the store and left no result, so the jobs that wait for it cannot run. ` +
        'It was removed by hand, or the store evicts keys: set maxmemory-policy to noeviction.',
    );
  }
}

/** The store holds no job with this id: it was never sent, or its result has expired. */
export class UnknownJobError extends UmbelError {
  override readonly name = 'UnknownJobError';
  readonly code = 'UNKNOWN_JOB';

  constructor(
    readonly jobId: string,
    /** Undefined if every queue of the app was searched. */
    readonly queue: string | undefined,
  ) {
    // The internal queue of workflow runs means nothing to users.
    const isUserQueue = queue !== undefined && queue !== 'umbel';
    const where = isUserQueue ? `Queue "${escaped(queue)}" does not hold` : 'No queue of this app holds';
    super(`${where} job ${escaped(jobId)}: it was never sent there, or its result has expired.`);
  }
}

/** The state of a job does not allow the requested operation. */
export class JobStateError extends UmbelError {
  override readonly name = 'JobStateError';
  readonly code = 'JOB_STATE';
}

/**
 * `get({ timeout })` stopped waiting. The job itself continues.
 * @example
 * try {
 *   await result.get({ timeout: '5s' });
 * } catch (error) {
 *   if (error instanceof TimeoutError) console.log(`${error.jobId} is still ${error.state}`);
 * }
 */
export class TimeoutError extends UmbelError {
  override readonly name = 'TimeoutError';
  readonly code = 'TIMEOUT';

  constructor(
    readonly jobId: string,
    readonly timeoutMs: number,
    readonly state: string,
    /** Says that no worker serves the job, if that is known. Replaces the hint for the state. */
    unserved?: string,
  ) {
    super(
      `Job ${escaped(jobId)} has no result after ${timeoutMs} ms (state: ${escaped(state)}). ${unserved ?? hintFor(state)}`,
    );
  }
}

function hintFor(state: string): string {
  if (state === 'waiting') {
    return 'Other jobs are ahead of it, its queue is paused, or no worker serves its queue: check app.inspect.queues().';
  }
  if (state === 'waiting-children') {
    return 'Some of its steps have not ended: graph() shows which. Check that a worker serves their queues.';
  }
  return 'The job continues; call get() again to wait longer.';
}

// Mistakes in the program: the code must be changed.

/** An option has an invalid value. Thrown by the function that takes the option, before anything is sent. */
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
      `Task "${task}" is already defined in this app. If these are two tasks, rename one. If it is one task, define it once ` +
        'at the top level of a module: not in a handler or a request, and not in a module that is loaded twice.',
    );
  }
}

/** A worker received a job of a task for which it has no handler. */
export class UnknownTaskError extends UmbelError {
  override readonly name = 'UnknownTaskError';
  readonly code = 'UNKNOWN_TASK';

  constructor(
    readonly task: string,
    readonly known: readonly string[],
  ) {
    super(
      `Task "${escaped(task)}" has no handler in this worker (known: ${listed(known)}). ${suggestion(task, known)}` +
        'Import the module that defines or implements it before starting the worker.',
    );
  }
}

/** A worker has to check the payload of a signal that this process does not declare. */
export class UnknownSignalError extends UmbelError {
  override readonly name = 'UnknownSignalError';
  readonly code = 'UNKNOWN_SIGNAL';

  constructor(
    readonly signal: string,
    readonly known: readonly string[],
  ) {
    super(
      `Signal "${escaped(signal)}" is not declared in this process (known: ${listed(known)}), so its payload cannot be ` +
        'checked. Import the module that calls app.signal(…) before starting the worker, then resume the run.',
    );
  }
}

/** A contract that is not bound to an app was sent. */
export class UnboundTaskError extends UmbelError {
  override readonly name = 'UnboundTaskError';
  readonly code = 'UNBOUND_TASK';

  constructor(readonly task: string) {
    super(
      `Task "${task}" is not bound to an app, so it cannot be sent. ` +
        'Define it with app.defineTask(…), or call app.bind(contract) and send the task that it returns.',
    );
  }
}

/** A workflow is needed, but `@umbel/canvas`, which composes and plans workflows, was not imported. */
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

/**
 * A task's input, result, progress or declared failure, or a signal's payload, does not match its schema, or JSON would change it. Never retried.
 * @example
 * if (error instanceof ValidationError) for (const { path, message } of error.issues) console.error(path, message);
 */
export class ValidationError extends UmbelError {
  override readonly name = 'ValidationError';
  readonly code = 'VALIDATION';

  constructor(
    /** The name of the task, or of the signal for a `payload`. */
    readonly task: string,
    readonly subject: ValidationSubject,
    readonly issues: readonly ValidationIssue[],
  ) {
    const list = issues.map((issue) => `\n  ${escaped(issue.path)}: ${issue.message}`).join('');
    const owner = subject === 'payload' ? 'signal' : 'task';
    super(`The ${subject} of ${owner} "${escaped(task)}" is not valid:${list}`);
  }
}

/** A call has the idempotency key of an earlier call but a different input. Nothing was sent. */
export class IdempotencyConflictError extends UmbelError {
  override readonly name = 'IdempotencyConflictError';
  readonly code = 'IDEMPOTENCY_CONFLICT';

  constructor(
    readonly task: string,
    readonly idempotencyKey: string,
    readonly jobId: string,
  ) {
    super(
      `Idempotency key ${describe(idempotencyKey)} of ${task === 'run' ? 'a workflow' : `task "${task}"`} was already used with a different input (job ${jobId}). ` +
        'Build the key from the values that make the call unique.',
    );
  }
}

/** A call or a worker names a queue that the app does not have, so no worker would serve it. */
export class UnknownQueueError extends UmbelError {
  override readonly name = 'UnknownQueueError';
  readonly code = 'UNKNOWN_QUEUE';

  constructor(
    readonly queue: string,
    readonly known: readonly string[],
  ) {
    super(
      `Queue ${describe(queue)} does not exist in this app (known: ${listed(known)}). ${suggestion(queue, known)}` +
        'Correct the name, or add it to createApp({ queues }).',
    );
  }
}

/** An optional peer package, which only a part of Umbel needs, is not installed. */
export class MissingPackageError extends UmbelError {
  override readonly name = 'MissingPackageError';
  readonly code = 'MISSING_PACKAGE';

  constructor(
    /** The name of the package. */
    readonly needs: string,
    /** The feature that needs it. */
    what: string,
    options?: ErrorOptions,
  ) {
    super(`${what} needs the package ${needs}, which is not installed: npm install ${needs}`, options);
  }
}

/** A schedule cannot be declared or stored: its name is already used, or its target cannot be sent. */
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

/** The store holds no schedule with this name. */
export class UnknownScheduleError extends UmbelError {
  override readonly name = 'UnknownScheduleError';
  readonly code = 'UNKNOWN_SCHEDULE';

  constructor(readonly schedule: string) {
    super(
      `Schedule "${schedule}" does not exist in the store. If the code declares it, store it with app.schedules.sync(), ` +
        'or start a worker that declares it.',
    );
  }
}

function suggestion(name: string, known: readonly string[]): string {
  const similar = nearest(name, known);
  return similar === undefined ? '' : `Did you mean "${similar}"? `;
}

// The store and the objects that are connected to it.

/** The worker or the app was closed, so it cannot do what was requested. */
export class ClosedError extends UmbelError {
  override readonly name = 'ClosedError';
  readonly code = 'CLOSED';
}

/** The store cannot be reached. */
export class ConnectionError extends UmbelError {
  override readonly name = 'ConnectionError';
  readonly code = 'CONNECTION';
}

/**
 * The store refuses Umbel's commands because of its configuration, or its configuration may lose jobs. A worker throws this
 * before it takes a job.
 */
export class StoreConfigurationError extends UmbelError {
  override readonly name = 'StoreConfigurationError';
  readonly code = 'STORE_CONFIGURATION';
}

/** The store accepted only a part of a workflow run. The accepted part cannot complete by itself. */
export class SubmitError extends UmbelError {
  override readonly name = 'SubmitError';
  readonly code = 'SUBMIT';
}

// Errors as plain data.

/** One problem of a value that does not match its schema. */
export interface ValidationIssue {
  /** Path to the invalid part, such as `input.to` or `result[3].url`. */
  readonly path: string;
  /** Expected and actual value, as described by the schema library. */
  readonly message: string;
}

/** The part of a task's data that is not valid. */
export type ValidationSubject = 'input' | 'result' | 'progress' | 'failure' | 'payload';

/** The stored form of an error: plain data that every client can read. */
export interface ErrorRecord {
  /** The error's `name`, or the name of its class if the class does not set `name` itself. */
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string | number;
  /** Present for a `ValidationError`, as are `task` and `subject`. */
  readonly issues?: readonly ValidationIssue[];
  readonly task?: string;
  readonly subject?: ValidationSubject;
  /** Present for an `ExpectedFailureError`, with its `data`. */
  readonly failure?: string;
  readonly data?: unknown;
  /**
   * The error's own enumerable data fields as JSON, up to 8,000 characters, without class instances. The values of the
   * task's `sensitive` keys, and of keys that name a credential (`password`, `authorization`, `accessToken` …), are
   * `'***'`.
   */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** At most five levels deep, and at most thirty errors in total. */
  readonly cause?: ErrorRecord;
  /** The first ten errors of an `AggregateError`, or of the `errors` of another error. */
  readonly errors?: readonly ErrorRecord[];
  /** Number of errors of that list that were not kept. */
  readonly omittedErrors?: number;
}

/** The step of a workflow run that failed first. */
export interface FailureOrigin {
  readonly task: string;
  readonly jobId: string;
  /** Number of attempts made. */
  readonly attempts?: number;
  /** Absent if the step failed. */
  readonly state?: 'expired' | 'revoked' | 'skipped';
  /** In `chunks`: the index of the failed input among all inputs, from 0. */
  readonly index?: number;
  readonly error: ErrorRecord;
}
