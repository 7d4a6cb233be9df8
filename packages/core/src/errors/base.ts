import { printable } from './printable.js';

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
