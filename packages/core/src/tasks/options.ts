import { type Duration, durationMs } from '../duration.js';
import { InvalidOptionError } from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import { isPlainObject } from '../wire/json.js';

/** When and how often a failed attempt is repeated. */
export interface RetryOptions {
  /** Runs in all, the first one included. Default 1: no retry. */
  attempts?: number;
  /** How the wait grows: the same each time, or doubling. Default `'exponential'`. */
  backoff?: 'fixed' | 'exponential';
  /** Wait before the second attempt. Default 1 s. */
  delay?: Duration;
  /** Spreads the waits at random between nothing and their full length. Default true. */
  jitter?: boolean;
}

/** Options of a task that hold for each of its calls. */
export interface TaskOptions {
  /** Default `'default'`. Letters, digits, `_`, `.` and `-`, at most 100. */
  queue?: string;
  /** 1 is first, larger is later; 0 (the default) is before all. Whole numbers up to 2,097,151. */
  priority?: number;
  retry?: RetryOptions;
}

/** Options of one signature; they win over its task's. */
export interface SignatureOptions extends TaskOptions {
  /** Wait before the job may start, counted from the moment it could otherwise start. */
  countdown?: Duration;
  /** Text that travels with the call and is no part of its input: a trace, a tenant. The handler finds it in `ctx.headers`. */
  headers?: Readonly<Record<string, string>>;
}

/** Options of one sending. */
export interface SendOptions extends SignatureOptions {
  /** Earliest start. Not together with `countdown`. */
  eta?: Date;
}

/** Options as plain data, checked, with times in milliseconds. */
export interface NormalizedOptions {
  readonly queue?: string;
  readonly priority?: number;
  readonly delayMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly retry?: {
    readonly attempts: number;
    readonly backoff: 'fixed' | 'exponential';
    readonly delayMs: number;
    readonly jitter: boolean;
  };
}

/** BullMQ keeps priorities in 21 bits. */
const MAX_PRIORITY = 2 ** 21 - 1;
const NAME = /^[A-Za-z0-9_.-]{1,100}$/;

/**
 * Options with names checked and times turned into milliseconds; only what was given is set.
 * @throws {InvalidOptionError} at the first option with a value it cannot have.
 */
export function normalizeOptions(options: SendOptions, now: number): NormalizedOptions {
  const { queue, priority, countdown, eta, headers, retry } = options;
  return {
    ...(queue !== undefined && { queue: checkQueue(queue) }),
    ...(priority !== undefined && { priority: checkInteger('priority', priority, 0, MAX_PRIORITY) }),
    ...delayOf(countdown, eta, now),
    ...(headers !== undefined && { headers: checkHeaders(headers) }),
    ...(retry !== undefined && { retry: normalizeRetry(retry) }),
  };
}

function checkHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (!isPlainObject(headers) || Object.values(headers).some((value) => typeof value !== 'string')) {
    throw new InvalidOptionError('headers', 'an object whose values are text', headers);
  }
  return { ...headers };
}

function checkQueue(queue: string): string {
  if (queue === INTERNAL_QUEUE) {
    throw new InvalidOptionError(
      'queue',
      `another name than "${INTERNAL_QUEUE}", which Umbel keeps for itself`,
      queue,
    );
  }
  return checkName('queue', queue);
}

/** `name` itself. @throws {InvalidOptionError} if it cannot be the name of an app, a queue or a task. */
export function checkName<Name extends string>(option: string, name: Name): Name {
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new InvalidOptionError(option, '1 to 100 letters, digits, "_", "." or "-"', name);
  }
  return name;
}

/** `value` itself. @throws {InvalidOptionError} unless it is a whole number within the bounds. */
export function checkInteger(option: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new InvalidOptionError(option, `a whole number from ${min} to ${max}`, value);
  }
  return value;
}

function delayOf(countdown: Duration | undefined, eta: Date | undefined, now: number): { delayMs?: number } {
  if (countdown !== undefined && eta !== undefined) {
    throw new InvalidOptionError('eta', 'absent when `countdown` is given', eta);
  }
  if (countdown !== undefined) return { delayMs: durationMs(countdown, 'countdown') };
  if (eta === undefined) return {};
  if (!(eta instanceof Date) || Number.isNaN(eta.getTime())) {
    throw new InvalidOptionError('eta', 'a valid Date', eta);
  }
  return { delayMs: Math.max(0, eta.getTime() - now) };
}

function normalizeRetry(retry: RetryOptions): NonNullable<NormalizedOptions['retry']> {
  const { attempts = 1, backoff = 'exponential', delay = 1000, jitter = true } = retry;
  if (backoff !== 'fixed' && backoff !== 'exponential') {
    throw new InvalidOptionError('retry.backoff', `'fixed' or 'exponential'`, backoff);
  }
  return {
    attempts: checkInteger('retry.attempts', attempts, 1, 1_000_000),
    backoff,
    delayMs: durationMs(delay, 'retry.delay'),
    jitter,
  };
}
