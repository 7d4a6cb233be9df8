/**
 * Converts errors to stored records and rebuilds them. Only the classes in `REBUILT` and those named in `instantiate` are
 * rebuilt; a stored name never loads another class.
 */
import { types } from 'node:util';
import {
  type ErrorRecord,
  type FailureOrigin,
  isUmbelError,
  ValidationError,
  type ValidationIssue,
  type ValidationSubject,
} from '../base/errors.js';
import {
  ChildProcessError,
  ExpectedFailureError,
  ExpiredError,
  PoisonJobError,
  RejectedError,
  RemoteError,
  RevokedError,
  SignalConflictError,
  SignalTimeoutError,
  SkippedError,
  TimeLimitError,
  UnrecoverableError,
} from '../base/failures.js';
import { isPlainObject, printable } from '../base/text.js';
import { clip, fieldsOf, nameOf, read } from './error-fields.js';
import { sanitize } from './masking.js';

const MAX_NAME = 200;

/** Maximum text lengths in characters: of an error and its causes, and of errors in the `errors` of another error. */
const MAX_TEXTS = { message: 10_000, stack: 8_000 } as const;
const MAX_INNER_TEXTS = { message: 2_000, stack: 2_000 } as const;

/** Maximum levels of causes and inner errors. */
const MAX_DEPTH = 5;
/** Maximum errors of one list, and of one record in total. */
const MAX_LISTED = 10;
const MAX_ERRORS = 30;

const REBUILT: ReadonlyMap<string, new (message: string) => Error> = new Map(
  [
    Error,
    TypeError,
    RangeError,
    SyntaxError,
    ReferenceError,
    URIError,
    EvalError,
    ChildProcessError,
    ExpiredError,
    PoisonJobError,
    RejectedError,
    RevokedError,
    SignalConflictError,
    SignalTimeoutError,
    SkippedError,
    TimeLimitError,
    UnrecoverableError,
  ].map((kind) => [kind.name, kind]),
);

/** Returns a thrown value as an `Error`. An `Error`, even of another realm, is returned unchanged. */
export function toError(thrown: unknown): Error {
  if (isError(thrown)) return thrown;
  const error = new Error(typeof thrown === 'string' ? thrown : `a value was thrown: ${inspect(thrown)}`);
  error.name = 'NonError';
  return error;
}

/**
 * Returns the record of an error, which has a limited size: causes and inner errors down to five levels, ten per list and
 * thirty in total, and the error's own enumerable data fields.
 */
export function recordError(error: Error): ErrorRecord {
  return recordBelow(error, { depth: 0, texts: MAX_TEXTS, budget: { errors: MAX_ERRORS } });
}

/** The position of an error in a record, and the limits there. */
interface Position {
  readonly depth: number;
  readonly texts: { readonly message: number; readonly stack: number };
  /** Number of errors that may still be added to the record. */
  readonly budget: { errors: number };
}

function recordBelow(error: Error, position: Position): ErrorRecord {
  const { depth, texts, budget } = position;
  budget.errors -= 1;
  const [code, cause, stack, message] = ['code', 'cause', 'stack', 'message'].map((key) => read(error, key));
  const inner = listedErrors(error);
  const fields = fieldsOf(error, separateKeys(error, inner !== undefined));
  const below = { ...position, depth: depth + 1 };
  const hasCause = cause !== undefined && depth < MAX_DEPTH && budget.errors > 0;
  return {
    name: clip(nameOf(error), MAX_NAME),
    message: clip(textOf(message), texts.message),
    ...(typeof stack === 'string' && { stack: clip(stack, texts.stack) }),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    ...(error instanceof ValidationError && {
      issues: error.issues.slice(0, 100).map(({ path, message }) => ({
        path: clip(path, 1000),
        message: clip(message, 1000),
      })),
      task: error.task,
      subject: error.subject,
    }),
    ...(error instanceof ExpectedFailureError && { failure: error.failure, data: error.data }),
    ...(fields !== undefined && { fields }),
    ...(hasCause && { cause: recordBelow(toError(cause), below) }),
    ...(inner !== undefined && listOf(inner, below)),
  };
}

/** Returns the inner errors in the property `errors`, as an `AggregateError` has them; undefined if there are none. */
function listedErrors(error: Error): readonly unknown[] | undefined {
  const errors = read(error, 'errors');
  if (!Array.isArray(errors)) return undefined;
  // A list of plain data in this property is a normal field.
  const isList = error instanceof AggregateError || errors.some((item) => isError(item));
  return isList ? errors : undefined;
}

/** Returns the records of the first inner errors, within the limits. */
function listOf(
  inner: readonly unknown[],
  position: Position,
): Pick<ErrorRecord, 'errors' | 'omittedErrors'> {
  const errors: ErrorRecord[] = [];
  for (const item of inner.slice(0, position.depth > MAX_DEPTH ? 0 : MAX_LISTED)) {
    if (position.budget.errors <= 0) break;
    errors.push(recordBelow(toError(item), { ...position, texts: MAX_INNER_TEXTS }));
  }
  const omittedErrors = inner.length - errors.length;
  return { errors, ...(omittedErrors > 0 && { omittedErrors }) };
}

/** Returns the keys of an error that the record stores separately. */
function separateKeys(error: Error, hasErrors: boolean): ReadonlySet<string> {
  const keys = hasErrors ? ['errors'] : [];
  if (error instanceof ValidationError) keys.push('issues', 'task', 'subject');
  if (error instanceof ExpectedFailureError) keys.push('failure', 'data');
  return new Set(keys);
}

function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error;
}

function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}

/** Returns the valid parts of a stored error; undefined if it has no name or no message. */
export function readErrorRecord(stored: unknown): ErrorRecord | undefined {
  return readBelow(stored, 0, { errors: MAX_ERRORS });
}

function readBelow(stored: unknown, depth: number, budget: Position['budget']): ErrorRecord | undefined {
  if (depth > MAX_DEPTH || budget.errors <= 0 || !isPlainObject(stored)) return undefined;
  const { name, message, stack, code, issues, task, subject, failure, data, fields, cause } = stored;
  if (typeof name !== 'string' || typeof message !== 'string') return undefined;
  budget.errors -= 1;
  const inner = readBelow(cause, depth + 1, budget);
  return {
    name,
    message,
    ...(typeof stack === 'string' && { stack }),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    ...(isIssues(issues) && { issues }),
    ...(typeof task === 'string' && { task }),
    ...(isSubject(subject) && { subject }),
    ...(typeof failure === 'string' && { failure, data: sanitize(data) === undefined ? data : undefined }),
    ...(isPlainObject(fields) && sanitize(fields, MAX_STORED_FIELDS) === undefined && { fields }),
    ...(inner !== undefined && { cause: inner }),
    ...(Array.isArray(stored.errors) && readList(stored.errors, stored.omittedErrors, depth, budget)),
  };
}

/** Maximum size of stored fields in bytes: more than this package or another version of it writes. */
const MAX_STORED_FIELDS = 100_000;

function readList(
  stored: readonly unknown[],
  omitted: unknown,
  depth: number,
  budget: Position['budget'],
): Pick<ErrorRecord, 'errors' | 'omittedErrors'> {
  const errors = stored
    .slice(0, MAX_LISTED)
    .map((item) => readBelow(item, depth + 1, budget))
    .filter((item) => item !== undefined);
  const isCount = Number.isSafeInteger(omitted) && (omitted as number) > 0; // a number, as just checked
  return { errors, ...(isCount && { omittedErrors: omitted as number }) };
}

function isIssues(stored: unknown): stored is ValidationIssue[] {
  return (
    Array.isArray(stored) &&
    stored.every(
      (issue) => isPlainObject(issue) && typeof issue.path === 'string' && typeof issue.message === 'string',
    )
  );
}

function isSubject(stored: unknown): stored is ValidationSubject {
  return ['input', 'result', 'progress', 'failure', 'payload'].includes(stored as string);
}

/**
 * Rebuilds an error with its message, stack, code, causes, inner errors and fields. JavaScript's own errors and some of
 * Umbel's get their original class; all others become a `RemoteError` with the original name.
 */
export function rebuildError(record: ErrorRecord): Error {
  return restore(instantiate(record), record);
}

/** Copies the stack, code, causes, inner errors and fields of a record to `error`, unless it has them itself. */
export function restore<Restored extends Error>(error: Restored, record: ErrorRecord): Restored {
  if (record.stack !== undefined) error.stack = printable(record.stack);
  if (record.code !== undefined && !('code' in error)) Object.assign(error, { code: record.code });
  if (record.cause !== undefined) error.cause = rebuildError(record.cause);
  // Not enumerable, as in JavaScript's own `AggregateError`.
  if (record.errors !== undefined) define(error, 'errors', record.errors.map(rebuildError), false);
  for (const [key, value] of Object.entries(record.fields ?? {})) {
    // A stored field never overrides a method, a property of the class or a prototype.
    if (!(key in error)) define(error, key, value, true);
  }
  return error;
}

function define(error: Error, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, key, { value, enumerable, configurable: true, writable: true });
}

function instantiate(record: ErrorRecord): Error {
  if (record.name === 'ValidationError' && record.issues !== undefined) {
    return new ValidationError(record.task ?? 'unknown', record.subject ?? 'input', record.issues);
  }
  if (record.name === 'ExpectedFailureError' && record.failure !== undefined) {
    return new ExpectedFailureError(record.failure, record.data);
  }
  if (record.name === 'AggregateError' && record.errors !== undefined)
    return new AggregateError([], printable(record.message));
  const Constructor = REBUILT.get(record.name);
  if (Constructor === undefined) return new RemoteError(record);
  const error = new Constructor(printable(record.message));
  // Other libraries have classes with the same names; the code distinguishes Umbel's.
  return isUmbelError(error) && error.code !== record.code ? new RemoteError(record) : error;
}

function inspect(value: unknown): string {
  try {
    return clip(JSON.stringify(value) ?? String(value), 200);
  } catch {
    return typeof value;
  }
}

/** Returns the record of a failure that callbacks and joins receive. */
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

/**
 * The failure of a job as plain data, for example the input of a `linkError` callback.
 * @example
 * const alert = app.task({
 *   name: 'alert',
 *   input: z.custom<FailureRecord>(),
 *   run: async ({ task, error }) => `${task} failed: ${error.message}`,
 * });
 */
export interface FailureRecord {
  /** The task that failed; in a workflow, the task of the step that failed first. */
  task: string;
  jobId: string;
  /** Number of attempts made. */
  attempts: number;
  /** In `chunks`: the index of the failed input among all inputs, from 0. */
  index?: number;
  error: { name: string; message: string; code?: string | number };
  /** In a group with several failures so far, including those in nested groups: at most 100 of them. */
  failures?: FailureRecord[];
}

/** The outcome of a step as plain data: each member of `group.settled` has one, and a `finally` callback receives one. */
export type StepOutcome<Out> =
  | { readonly ok: true; readonly value: Out }
  | { readonly ok: false; readonly error: FailureRecord };
