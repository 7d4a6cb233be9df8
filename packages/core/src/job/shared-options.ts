/**
 * Options of jobs as plain data, and the options of a workflow that are stored with each of its jobs. A job that a handler
 * adds becomes a part of the workflow, but the worker knows only the handler's job, so that job must carry them.
 *
 * Headers and tags are not among them, because every job has them anyway. Neither is the delay, which applies only to the
 * start of the workflow.
 */
import { isPlainObject } from '../base/text.js';

/** Stored workflow options. `true`: the job's own option is equal, so it is not stored twice. */
export interface SharedOptions {
  readonly queue?: string | true;
  readonly priority?: number | true;
  readonly retry?: NormalizedRetry | true;
  readonly timeout?: number | true;
  readonly label?: string | true;
  /** In milliseconds since 1970. */
  readonly expires?: number | true;
  /** Only before the send: milliseconds after it. */
  readonly expiresMs?: number;
}

/** The job's own options that can be equal to a workflow option. */
export type OwnOptions = Pick<
  NormalizedOptions,
  'queue' | 'priority' | 'retry' | 'timeoutMs' | 'displayName' | 'expiresMs' | 'expiresAt'
>;

/**
 * Returns the stored form of a workflow's options for one of its jobs; undefined if it has none.
 * @param jobQueue The job's queue, if it is not the one of its options.
 */
export function sharedOptions(
  shared: NormalizedOptions,
  jobOptions: OwnOptions,
  jobQueue = jobOptions.queue,
): SharedOptions | undefined {
  const { queue, priority, retry, timeoutMs, displayName, expiresMs, expiresAt } = shared;
  const first = queue ?? priority ?? retry ?? timeoutMs ?? displayName ?? expiresMs ?? expiresAt;
  if (first === undefined) return undefined; // only headers, tags or a delay
  return {
    ...(queue !== undefined && { queue: unlessEqual(queue, jobQueue) }),
    ...(priority !== undefined && { priority: unlessEqual(priority, jobOptions.priority) }),
    ...(retry !== undefined && { retry: unlessEqual(retry, jobOptions.retry) }),
    ...(timeoutMs !== undefined && { timeout: unlessEqual(timeoutMs, jobOptions.timeoutMs) }),
    ...(displayName !== undefined && { label: unlessEqual(displayName, jobOptions.displayName) }),
    ...expiryOf(expiresMs, expiresAt, jobOptions),
  };
}

/** Converts the expiry to a moment, for a job that is sent now. */
export function atSending({ expiresMs, ...shared }: SharedOptions, now: number): SharedOptions {
  return expiresMs === undefined ? shared : { ...shared, expires: now + expiresMs };
}

/** Returns the options of the workflow that a stored job belongs to. */
export function workflowOptions(
  shared: SharedOptions | undefined,
  jobOptions: OwnOptions,
): NormalizedOptions {
  if (shared === undefined) return {};
  const { queue, priority, retry, timeout, label, expires } = shared;
  return {
    ...optionOf('queue', queue, jobOptions.queue),
    ...optionOf('priority', priority, jobOptions.priority),
    ...optionOf('retry', retry, jobOptions.retry),
    ...optionOf('timeoutMs', timeout, jobOptions.timeoutMs),
    ...optionOf('displayName', label, jobOptions.displayName),
    ...optionOf('expiresAt', expires, jobOptions.expiresAt),
  };
}

/** Returns whether stored data has the shape of `SharedOptions`. */
export function isSharedOptions(value: unknown): boolean {
  if (!isPlainObject(value)) return false;
  const { queue, priority, retry, timeout, label, expires, expiresMs } = value;
  return (
    isTrueOr(queue, (value) => typeof value === 'string' && value !== '' && !value.includes(':')) &&
    isTrueOr(priority, (value) => Number.isSafeInteger(value) && Number(value) >= 0) &&
    isTrueOr(retry, isRetry) &&
    isTrueOr(timeout, (value) => isTime(value) && value > 0) &&
    isTrueOr(label, (value) => typeof value === 'string') &&
    isTrueOr(expires, isTime) &&
    (expiresMs === undefined || isTime(expiresMs))
  );
}

function unlessEqual<Value>(value: Value, jobValue: unknown): Value | true {
  return value === jobValue ? true : value;
}

function expiryOf(
  expiresMs: number | undefined,
  expiresAt: number | undefined,
  jobOptions: OwnOptions,
): Pick<SharedOptions, 'expires' | 'expiresMs'> {
  if (expiresAt !== undefined) return { expires: unlessEqual(expiresAt, jobOptions.expiresAt) };
  if (expiresMs === undefined) return {};
  return jobOptions.expiresMs === expiresMs && jobOptions.expiresAt === undefined
    ? { expires: true }
    : { expiresMs };
}

function optionOf<Name extends keyof NormalizedOptions>(
  name: Name,
  shared: NormalizedOptions[Name] | true,
  jobValue: NormalizedOptions[Name],
): Pick<NormalizedOptions, Name> | undefined {
  const value = shared === true ? jobValue : shared;
  return value === undefined ? undefined : ({ [name]: value } as Pick<NormalizedOptions, Name>); // it has only this name
}

function isTrueOr(value: unknown, holds: (value: unknown) => boolean): boolean {
  return value === undefined || value === true || holds(value);
}

/** Largest time value of a `Date`, in milliseconds since 1970. */
const MAX_TIME = 8.64e15;

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= MAX_TIME;
}

function isRetry(value: unknown): boolean {
  if (!isPlainObject(value)) return false;
  const { attempts, backoff, delayMs, maxMs, jitter, custom } = value;
  return (
    Number.isSafeInteger(attempts) &&
    Number(attempts) >= 1 &&
    (backoff === 'fixed' || backoff === 'exponential') &&
    isTime(delayMs) &&
    delayMs >= 0 &&
    isTime(maxMs) &&
    maxMs >= 0 &&
    typeof jitter === 'boolean' &&
    (custom === undefined || custom === true)
  );
}

/** Checked options as plain data, with times in milliseconds. */
export interface NormalizedOptions {
  readonly queue?: string;
  readonly priority?: number;
  readonly delayMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly displayName?: string;
  /** Without duplicates. */
  readonly tags?: readonly string[];
  readonly retry?: NormalizedRetry;
  readonly timeoutMs?: number;
  /** Counted from the send. */
  readonly expiresMs?: number;
  /** In milliseconds since 1970. */
  readonly expiresAt?: number;
}

export interface NormalizedRetry {
  readonly attempts: number;
  readonly backoff: 'fixed' | 'exponential';
  readonly delayMs: number;
  readonly maxMs: number;
  readonly jitter: boolean | 'equal';
  /** The task's `backoff` function returns the waits. */
  readonly custom?: true;
}

/** Converts a relative expiry to a moment, for a job that is sent now. An absolute expiry takes precedence. */
export function resolveExpiry(options: NormalizedOptions, now: number): NormalizedOptions {
  if (options.expiresMs === undefined) return options;
  const { expiresMs, ...others } = options;
  return others.expiresAt === undefined ? { ...others, expiresAt: now + expiresMs } : others;
}
