/** Errors to plain data and back. No class is ever loaded by a stored name: see the allow-list. */
import { types } from 'node:util';
import {
  ChildProcessError,
  type ErrorRecord,
  ExpectedFailureError,
  ExpiredError,
  type FailureOrigin,
  isUmbelError,
  PoisonJobError,
  RejectedError,
  RemoteError,
  RevokedError,
  SkippedError,
  TimeLimitError,
  UnrecoverableError,
  ValidationError,
  type ValidationIssue,
  type ValidationSubject,
} from '../base/errors.js';
import { isPlainObject, printable } from '../base/text.js';
import { clip, fieldsOf, nameOf, read } from './error-fields.js';
import { sanitize } from './masking.js';

const MAX_NAME = 200;

/** Lengths of the texts of an error and of its causes, and of those in the list of another error, in characters. */
const MAX_TEXTS = { message: 10_000, stack: 8_000 } as const;
const MAX_INNER_TEXTS = { message: 2_000, stack: 2_000 } as const;

/** Levels of causes and of lists of errors below an error. */
const MAX_DEPTH = 5;
/** Errors of one list that are kept, and errors of one record in all. */
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
    SkippedError,
    TimeLimitError,
    UnrecoverableError,
  ].map((kind) => [kind.name, kind]),
);

/** Any thrown value as an `Error`; an `Error` is given back as it is. */
export function toError(thrown: unknown): Error {
  if (isError(thrown)) return thrown; // also one of another realm
  const error = new Error(typeof thrown === 'string' ? thrown : `a value was thrown: ${inspect(thrown)}`);
  error.name = 'NonError';
  return error;
}

/**
 * The error as plain data of bounded size: with causes and inner errors (`errors`) down to five levels, ten of a list and
 * thirty in all, and with its own enumerable data fields.
 */
export function recordError(error: Error): ErrorRecord {
  return recordBelow(error, { depth: 0, texts: MAX_TEXTS, budget: { errors: MAX_ERRORS } });
}

/** Where an error stands in a record. */
interface Position {
  readonly depth: number;
  readonly texts: { readonly message: number; readonly stack: number };
  /** Errors that the record may still hold. */
  readonly budget: { errors: number };
}

function recordBelow(error: Error, position: Position): ErrorRecord {
  const { depth, texts, budget } = position;
  budget.errors -= 1;
  const [code, cause, stack, message] = ['code', 'cause', 'stack', 'message'].map((key) => read(error, key));
  const inner = listedErrors(error);
  const fields = fieldsOf(error, keptApart(error, inner !== undefined));
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

/** The errors that an error holds in its list, as an `AggregateError` does; undefined if it holds none. */
function listedErrors(error: Error): readonly unknown[] | undefined {
  const errors = read(error, 'errors');
  if (!Array.isArray(errors)) return undefined;
  // Others keep plain data there, which is a field like any other.
  const isList = error instanceof AggregateError || errors.some((item) => isError(item));
  return isList ? errors : undefined;
}

/** The first errors of a list, as far as there is room. */
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

/** Keys of an error whose values the record holds under a name of its own. */
function keptApart(error: Error, hasErrors: boolean): ReadonlySet<string> {
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

/** A stored error as far as it has the form of one; undefined if it has no name or no message. */
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

/** Bytes of stored fields that are read: more than this package writes, whatever other versions do. */
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
  const isCount = Number.isSafeInteger(omitted) && (omitted as number) > 0; // the line before has checked it
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
  return ['input', 'result', 'progress', 'failure'].includes(stored as string);
}

/**
 * The recorded error as an `Error` with its message, stack, code, causes, inner errors and fields: of the same class for
 * JavaScript's own errors and `ValidationError`, else a `RemoteError` with the same name.
 */
export function rebuildError(record: ErrorRecord): Error {
  return restore(instantiate(record), record);
}

/** `error` with what the record holds beside its message, as far as the error does not say it itself. */
export function restore<Restored extends Error>(error: Restored, record: ErrorRecord): Restored {
  if (record.stack !== undefined) error.stack = printable(record.stack);
  if (record.code !== undefined && !('code' in error)) Object.assign(error, { code: record.code });
  if (record.cause !== undefined) error.cause = rebuildError(record.cause);
  // Hidden where JavaScript's own hides them.
  if (record.errors !== undefined) define(error, 'errors', record.errors.map(rebuildError), false);
  for (const [key, value] of Object.entries(record.fields ?? {})) {
    // Stored names never take the place of a method, of what the class says, or of a prototype.
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
  // Others have classes of the same name, which their code tells from ours.
  return isUmbelError(error) && error.code !== record.code ? new RemoteError(record) : error;
}

function inspect(value: unknown): string {
  try {
    return clip(JSON.stringify(value) ?? String(value), 200);
  } catch {
    return typeof value;
  }
}

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

/** A failure as a `linkError` callback receives it. */
export interface FailureRecord {
  /** The task that failed; in a composition, the first step that did. */
  task: string;
  jobId: string;
  /** Attempts that were made. */
  attempts: number;
  /** Of `chunks`: which of all the inputs its handler failed at. */
  index?: number;
  error: { name: string; message: string; code?: string | number };
  /** Of a group: the failures in it by then, also in groups in it, if there are several; at most 100. */
  failures?: FailureRecord[];
}

/** How a step ended, as plain data: what `group.settled` gives of each member, and a `finally` callback receives. */
export type StepOutcome<Out> =
  | { readonly ok: true; readonly value: Out }
  | { readonly ok: false; readonly error: FailureRecord };
