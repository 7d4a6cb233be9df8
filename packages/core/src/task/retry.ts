/** Retries: the options of tasks and calls, and the decision whether and when another attempt follows. */
import { InvalidOptionError, isUmbelError, type UmbelErrorCode } from '../base/errors.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import { type Duration, durationMs } from '../base/time.js';
import type { NormalizedRetry } from '../job/shared-options.js';

/** Randomisation of the waits between attempts, see `RetryOptions.jitter`. */
export type Jitter = boolean | 'full' | 'equal';

/**
 * Options of retries.
 * @example
 * await charge.applyAsync(order, { retry: { attempts: 5, delay: '2s', max: '5m' } });
 */
export interface RetryOptions {
  /** Total number of attempts, including the first. Default 1: no retry. */
  attempts?: number | undefined;
  /** Growth of the wait: constant, or doubled after each attempt. Default `'exponential'`. */
  backoff?: 'fixed' | 'exponential' | undefined;
  /** Wait before the second attempt. Default 1 s. */
  delay?: Duration | undefined;
  /** Longest wait. Default 1 day. */
  max?: Duration | undefined;
  /**
   * Randomises the waits, so that jobs which failed together do not retry together. `true` or `'full'`, the default: a
   * random time between zero and the full wait, so `delay: '1s'` may mean no wait at all. `'equal'`: half of the wait is
   * fixed, the other half random. `false`: always the full wait.
   */
  jitter?: Jitter | undefined;
}

/**
 * Retry options of a task. Unlike those of a call, they may hold functions.
 * @example
 * const charge = app.task({
 *   name: 'charge',
 *   retry: { attempts: 5, on: (error) => error.name !== 'CardDeclined', backoff: (attempt) => attempt * 1000 },
 *   run: async () => {},
 * });
 */
export interface TaskRetryOptions extends Omit<RetryOptions, 'backoff'> {
  /** Growth of the wait, or a function that returns the wait after a failed attempt (counted from 1). */
  backoff?: 'fixed' | 'exponential' | ((attempt: number, error: Error) => Duration) | undefined;
  /** Returns whether to retry after this error. Default: after every error. */
  on?: ((error: Error, attempt: number) => boolean) | undefined;
}

/** The functions among a task's retry options. They stay in the process, because no store can hold them. */
export interface RetryDecisions {
  readonly on?: (error: Error, attempt: number) => boolean;
  readonly backoff?: (attempt: number, error: Error) => Duration;
}

/** Total attempts of a handler that calls `ctx.retry()` while its options allow no retry, as in Celery. */
const ATTEMPTS_WHEN_ASKED = 4;

const OPTIONS: OptionNames<TaskRetryOptions> = {
  attempts: true,
  backoff: true,
  delay: true,
  max: true,
  jitter: true,
  on: true,
};

const RETRY = { option: 'retry', above: 'retry.', example: '{ attempts: 3 }' };

const NO_RETRY: NormalizedRetry = {
  attempts: 1,
  backoff: 'exponential',
  delayMs: 1000,
  maxMs: 86_400_000,
  jitter: true,
};

/** Converts the retry options of a task to plain data. @throws {InvalidOptionError} if an option is invalid. */
export function normalizeRetry(retry: TaskRetryOptions): NormalizedRetry {
  checkOptions(retry, OPTIONS, RETRY);
  const { attempts = 1, backoff = 'exponential', delay = 1000, max = '1d', jitter = true, on } = retry;
  if (backoff !== 'fixed' && backoff !== 'exponential' && typeof backoff !== 'function') {
    throw new InvalidOptionError('retry.backoff', `'fixed', 'exponential' or a function`, backoff);
  }
  if (on !== undefined && typeof on !== 'function')
    throw new InvalidOptionError('retry.on', 'a function', on);
  return {
    attempts: checkAttempts(attempts),
    backoff: typeof backoff === 'function' ? 'fixed' : backoff,
    delayMs: durationMs(delay, 'retry.delay'),
    maxMs: durationMs(max, 'retry.max'),
    jitter: normalizeJitter(jitter),
    ...(typeof backoff === 'function' && { custom: true }),
  };
}

/** Converts the retry options of a call to plain data. @throws {InvalidOptionError} if one is invalid, or a function. */
export function normalizeCallRetry(retry: RetryOptions): NormalizedRetry {
  const { on: _, ...known } = OPTIONS;
  checkOptions(retry, known, RETRY);
  if (typeof retry.backoff === 'function')
    throw new InvalidOptionError(
      'retry.backoff',
      `'fixed' or 'exponential' (a task can have a function)`,
      retry.backoff,
    );
  return normalizeRetry(retry);
}

/** Returns the stored form of a jitter. @throws {InvalidOptionError} unless it is one of the four values. */
export function normalizeJitter(jitter: Jitter): NormalizedRetry['jitter'] {
  if (jitter === 'full') return true;
  if (jitter === 'equal' || typeof jitter === 'boolean') return jitter;
  throw new InvalidOptionError('retry.jitter', "true, false, 'full' or 'equal'", jitter);
}

/** Returns `attempts`. @throws {InvalidOptionError} unless it is a whole number from 1 to 1,000,000. */
export function checkAttempts(attempts: number): number {
  if (Number.isInteger(attempts) && attempts >= 1 && attempts <= 1_000_000) return attempts;
  throw new InvalidOptionError('retry.attempts', 'a whole number from 1 to 1000000', attempts);
}

export function retryDecisions({ on, backoff }: TaskRetryOptions = {}): RetryDecisions {
  return {
    ...(on !== undefined && { on }),
    ...(typeof backoff === 'function' && { backoff }),
  };
}

/** Thrown by `ctx.retry()` to end the attempt and request another one. */
export class RetryRequest extends Error {
  override readonly name = 'RetryRequest';

  constructor(
    reason: string | undefined,
    readonly delayMs: number | undefined,
    options?: ErrorOptions,
    /** Whether the attempt counts against the job's attempts. */
    readonly isCounted = true,
  ) {
    super(reason ?? 'the handler asked for another attempt', options);
  }
}

/** The facts on which the decision about another attempt depends. */
export interface RetryState {
  /** The attempt that failed, counted from 1. */
  readonly attempt: number;
  readonly options: NormalizedRetry | undefined;
  readonly decisions: RetryDecisions;
  /** Returns a random number from 0 to 1. */
  readonly random: () => number;
}

/** Returns the wait in milliseconds before the next attempt, or undefined if no attempt follows. */
export function retryDelayMs(
  error: Error,
  { attempt, options, decisions, random }: RetryState,
): number | undefined {
  if (isPermanent(error)) return undefined;
  const retry = options ?? NO_RETRY;
  if (error instanceof RetryRequest) {
    const attempts = retry.attempts > 1 ? retry.attempts : ATTEMPTS_WHEN_ASKED;
    if (attempt >= attempts) return undefined;
    return error.delayMs ?? waitMs(retry, attempt, random);
  }
  if (attempt >= retry.attempts || decisions.on?.(error, attempt) === false) return undefined;
  if (decisions.backoff === undefined || !retry.custom) return waitMs(retry, attempt, random);
  return Math.min(durationMs(decisions.backoff(attempt, error), 'retry.backoff'), retry.maxMs);
}

/** Returns the wait after an attempt: with full jitter from zero, with equal jitter from one half, up to the full wait. */
function waitMs(
  { backoff, delayMs, maxMs, jitter }: NormalizedRetry,
  attempt: number,
  random: () => number,
): number {
  const growth = backoff === 'exponential' ? 2 ** (attempt - 1) : 1;
  const full = Math.min(delayMs * growth, maxMs);
  if (jitter === false) return Math.round(full);
  const fixed = jitter === 'equal' ? full / 2 : 0;
  return Math.round(fixed + (full - fixed) * random());
}

/** Codes of errors that a further attempt cannot fix. */
const PERMANENT_CODES: ReadonlySet<UmbelErrorCode> = new Set([
  'CORRUPT_JOB',
  'EXPECTED_FAILURE',
  'EXPIRED',
  'LOST_JOB',
  'POISON_JOB',
  'REJECTED',
  'REVOKED',
  'SIGNAL_CONFLICT',
  'SIGNAL_TIMEOUT',
  'SKIPPED',
  'UNKNOWN_SIGNAL',
  'UNKNOWN_TASK',
  'UNRECOVERABLE',
  'UPSTREAM_FAILED',
  'VALIDATION',
]);

function isPermanent(error: Error): boolean {
  // Handlers that were written for BullMQ may throw BullMQ's error class, which is recognised by its name.
  return isUmbelError(error) ? PERMANENT_CODES.has(error.code) : error.name === 'UnrecoverableError';
}
