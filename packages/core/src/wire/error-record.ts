/** Errors to plain data and back. No class is ever loaded by a stored name: see the allow-list. */
import { types } from 'node:util';
import { printable } from '../errors/printable.js';
import {
  ChildProcessError,
  type ErrorRecord,
  ExpectedFailureError,
  ExpiredError,
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
} from '../errors.js';
import { isPlainObject } from './plain-object.js';
import { sanitize } from './stored-value.js';

const MAX_MESSAGE = 10_000;
const MAX_STACK = 8_000;
const MAX_CAUSES = 5;
/** What stands round the length of a text, at the end of what was kept of it. */
export const CUT = { from: '… (', to: ' characters)' } as const;

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
  if (types.isNativeError(thrown) || thrown instanceof Error) return thrown; // also one of another realm
  const error = new Error(typeof thrown === 'string' ? thrown : `a value was thrown: ${inspect(thrown)}`);
  error.name = 'NonError';
  return error;
}

/** The error as plain data of bounded size, with up to five causes. */
export function recordError(error: Error, causes: number = MAX_CAUSES): ErrorRecord {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return {
    name: clip(error.name, 200),
    message: clip(error.message, MAX_MESSAGE),
    ...(typeof error.stack === 'string' && { stack: clip(error.stack, MAX_STACK) }),
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
    ...(cause !== undefined && causes > 0 && { cause: recordError(toError(cause), causes - 1) }),
  };
}

/** A stored error as far as it has the form of one; undefined if it has no name or no message. */
export function readErrorRecord(stored: unknown, causes: number = MAX_CAUSES): ErrorRecord | undefined {
  if (!isPlainObject(stored)) return undefined;
  const { name, message, stack, code, issues, task, subject, failure, data, cause } = stored;
  if (typeof name !== 'string' || typeof message !== 'string') return undefined;
  const inner = causes > 0 ? readErrorRecord(cause, causes - 1) : undefined;
  return {
    name,
    message,
    ...(typeof stack === 'string' && { stack }),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    ...(isIssues(issues) && { issues }),
    ...(typeof task === 'string' && { task }),
    ...(isSubject(subject) && { subject }),
    ...(typeof failure === 'string' && { failure, data: sanitize(data) === undefined ? data : undefined }),
    ...(inner !== undefined && { cause: inner }),
  };
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
 * The recorded error as an `Error` with its message, stack, code and causes: of the same class for JavaScript's own
 * errors and `ValidationError`, else a `RemoteError` with the same name.
 */
export function rebuildError(record: ErrorRecord): Error {
  const error = instantiate(record);
  if (record.stack !== undefined) error.stack = printable(record.stack);
  if (record.code !== undefined && !('code' in error)) Object.assign(error, { code: record.code });
  if (record.cause !== undefined) error.cause = rebuildError(record.cause);
  return error;
}

function instantiate(record: ErrorRecord): Error {
  if (record.name === 'ValidationError' && record.issues !== undefined) {
    return new ValidationError(record.task ?? 'unknown', record.subject ?? 'input', record.issues);
  }
  if (record.name === 'ExpectedFailureError' && record.failure !== undefined) {
    return new ExpectedFailureError(record.failure, record.data);
  }
  const Constructor = REBUILT.get(record.name);
  if (Constructor === undefined) return new RemoteError(record);
  const error = new Constructor(printable(record.message));
  // Others have classes of the same name, which their code tells from ours.
  return isUmbelError(error) && error.code !== record.code ? new RemoteError(record) : error;
}

function clip(text: unknown, limit: number): string {
  const string = String(text);
  return string.length <= limit ? string : `${string.slice(0, limit)}${CUT.from}${string.length}${CUT.to}`;
}

function inspect(value: unknown): string {
  try {
    return clip(JSON.stringify(value) ?? String(value), 200);
  } catch {
    return typeof value;
  }
}
