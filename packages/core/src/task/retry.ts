import { InvalidOptionError, isUmbelError, type UmbelErrorCode } from '../base/errors.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import { type Duration, durationMs } from '../base/time.js';
import type { NormalizedRetry } from '../job/shared-options.js';

/** How waits are spread. */
export type Jitter = boolean | 'full' | 'equal';

/** When and how often a failed attempt is repeated. */
export interface RetryOptions {
  /** Runs in all, the first one included. Default 1: no retry. */
  attempts?: number | undefined;
  /** How the wait grows: the same each time, or doubling. Default `'exponential'`. */
  backoff?: 'fixed' | 'exponential' | undefined;
  /** Wait before the second attempt. Default 1 s. */
  delay?: Duration | undefined;
  /** The longest wait. Default 1 day. */
  max?: Duration | undefined;
  /**
   * Spreads the waits at random, so that what failed together does not come back together. `true` or `'full'`, the
   * default: between nothing and the full wait, so that `delay: '1s'` may mean no wait at all. `'equal'`: half of the wait
   * is fixed, the other half random. `false`: the full wait each time.
   */
  jitter?: Jitter | undefined;
}

/** The same for a task, which can decide by the error. */
export interface TaskRetryOptions extends Omit<RetryOptions, 'backoff'> {
  /** As for a call, or a function that gives the wait after the attempt of that number (counted from 1) failed. */
  backoff?: 'fixed' | 'exponential' | ((attempt: number, error: Error) => Duration) | undefined;
  /** Whether this error is worth another attempt. Default: every error is. */
  on?: ((error: Error, attempt: number) => boolean) | undefined;
}

/** What a task decides by functions, which no store can hold. */
export interface RetryDecisions {
  readonly on?: (error: Error, attempt: number) => boolean;
  readonly backoff?: (attempt: number, error: Error) => Duration;
}

/** Runs in all for a handler that asks for another with `ctx.retry()` while its options allow none. As in Celery. */
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

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
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

/** The same of a call, which has no functions: nothing would call them. */
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

/** @throws {InvalidOptionError} */
export function normalizeJitter(jitter: Jitter): NormalizedRetry['jitter'] {
  if (jitter === 'full') return true;
  if (jitter === 'equal' || typeof jitter === 'boolean') return jitter;
  throw new InvalidOptionError('retry.jitter', "true, false, 'full' or 'equal'", jitter);
}

/** `attempts` itself. @throws {InvalidOptionError} unless it is a whole number from 1 to 1,000,000. */
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

/** Thrown by `ctx.retry()`: the attempt ends, and another is to follow. */
export class RetryRequest extends Error {
  override readonly name = 'RetryRequest';

  constructor(
    reason: string | undefined,
    readonly delayMs: number | undefined,
    options?: ErrorOptions,
    /** Whether the attempt is charged to the job. */
    readonly isCounted = true,
  ) {
    super(reason ?? 'the handler asked for another attempt', options);
  }
}

/** What decides about another attempt. */
export interface RetryState {
  /** The attempt that failed, counted from 1. */
  readonly attempt: number;
  readonly options: NormalizedRetry | undefined;
  readonly decisions: RetryDecisions;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** The wait in milliseconds before the next attempt, or undefined if there is none. */
export function retryDelayMs(
  error: Error,
  { attempt, options, decisions, random }: RetryState,
): number | undefined {
  if (neverRetried(error)) return undefined;
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

/** Full jitter: anything from nothing to the whole wait; equal jitter: from half of it. */
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

/** Errors that another attempt cannot mend, so that none is spent on them. */
const NEVER: ReadonlySet<UmbelErrorCode> = new Set([
  'CORRUPT_JOB',
  'EXPECTED_FAILURE',
  'EXPIRED',
  'LOST_JOB',
  'POISON_JOB',
  'REJECTED',
  'REVOKED',
  'SKIPPED',
  'UNKNOWN_TASK',
  'UNRECOVERABLE',
  'UPSTREAM_FAILED',
  'VALIDATION',
]);

function neverRetried(error: Error): boolean {
  // BullMQ's own goes by its name, which handlers that come from there may throw.
  return isUmbelError(error) ? NEVER.has(error.code) : error.name === 'UnrecoverableError';
}
