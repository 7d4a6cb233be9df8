/**
 * The options of a workflow on a job of it, for what the job's handler adds: that becomes a part of the workflow, and the
 * handler's worker knows nothing of the workflow but its own job.
 *
 * Headers and tags are not among them, since a job holds those for itself, and neither is a delay: it is of the start of
 * the whole.
 */
import { isPlainObject } from '../base/text.js';

/** As stored with a job. `true`: its own is the same, so that it is not stored twice. */
export interface SharedOptions {
  readonly queue?: string | true;
  readonly priority?: number | true;
  readonly retry?: NormalizedRetry | true;
  readonly timeout?: number | true;
  readonly label?: string | true;
  /** In milliseconds since 1970. */
  readonly expires?: number | true;
  /** Counted from the sending, until it is sent. */
  readonly expiresMs?: number;
}

/** The options of a job, as far as this needs them. */
export type OwnOptions = Pick<
  NormalizedOptions,
  'queue' | 'priority' | 'retry' | 'timeoutMs' | 'displayName' | 'expiresMs' | 'expiresAt'
>;

/** The options of a workflow as they are stored with a job of it; undefined if it has none. */
export function sharedOptions(shared: NormalizedOptions, own: OwnOptions): SharedOptions | undefined {
  const { queue, priority, retry, timeoutMs, displayName, expiresMs, expiresAt } = shared;
  const stored: SharedOptions = {
    ...(queue !== undefined && { queue: unlessEqual(queue, own.queue) }),
    ...(priority !== undefined && { priority: unlessEqual(priority, own.priority) }),
    ...(retry !== undefined && { retry: unlessEqual(retry, own.retry) }),
    ...(timeoutMs !== undefined && { timeout: unlessEqual(timeoutMs, own.timeoutMs) }),
    ...(displayName !== undefined && { label: unlessEqual(displayName, own.displayName) }),
    ...expiryOf(expiresMs, expiresAt, own),
  };
  return Object.keys(stored).length === 0 ? undefined : stored;
}

/** The same with its expiry as a moment, for a job that is sent now. */
export function atSending({ expiresMs, ...shared }: SharedOptions, now: number): SharedOptions {
  return expiresMs === undefined ? shared : { ...shared, expires: now + expiresMs };
}

/** The options of the workflow that a stored job is a part of. */
export function workflowOptions(shared: SharedOptions | undefined, own: OwnOptions): NormalizedOptions {
  if (shared === undefined) return {};
  const { queue, priority, retry, timeout, label, expires } = shared;
  return {
    ...optionOf('queue', queue, own.queue),
    ...optionOf('priority', priority, own.priority),
    ...optionOf('retry', retry, own.retry),
    ...optionOf('timeoutMs', timeout, own.timeoutMs),
    ...optionOf('displayName', label, own.displayName),
    ...optionOf('expiresAt', expires, own.expiresAt),
  };
}

/** Whether stored data has the shape of such options. */
export function isSharedOptions(value: unknown): boolean {
  if (!isPlainObject(value)) return false;
  const { queue, priority, retry, timeout, label, expires, expiresMs } = value;
  return (
    isTrueOr(queue, (own) => typeof own === 'string' && own !== '' && !own.includes(':')) &&
    isTrueOr(priority, (own) => Number.isSafeInteger(own) && Number(own) >= 0) &&
    isTrueOr(retry, isRetry) &&
    isTrueOr(timeout, (own) => isTime(own) && own > 0) &&
    isTrueOr(label, (own) => typeof own === 'string') &&
    isTrueOr(expires, isTime) &&
    (expiresMs === undefined || isTime(expiresMs))
  );
}

function unlessEqual<Value>(value: Value, own: unknown): Value | true {
  return value === own ? true : value;
}

function expiryOf(
  expiresMs: number | undefined,
  expiresAt: number | undefined,
  own: OwnOptions,
): Pick<SharedOptions, 'expires' | 'expiresMs'> {
  if (expiresAt !== undefined) return { expires: unlessEqual(expiresAt, own.expiresAt) };
  if (expiresMs === undefined) return {};
  return own.expiresMs === expiresMs && own.expiresAt === undefined ? { expires: true } : { expiresMs };
}

function optionOf<Name extends keyof NormalizedOptions>(
  name: Name,
  shared: NormalizedOptions[Name] | true,
  own: NormalizedOptions[Name],
): Pick<NormalizedOptions, Name> | undefined {
  const value = shared === true ? own : shared;
  return value === undefined ? undefined : ({ [name]: value } as Pick<NormalizedOptions, Name>); // the one name that it has
}

function isTrueOr(value: unknown, holds: (value: unknown) => boolean): boolean {
  return value === undefined || value === true || holds(value);
}

/** What a `Date` can be, in milliseconds since 1970. */
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

/** Options as plain data, checked, with times in milliseconds. */
export interface NormalizedOptions {
  readonly queue?: string;
  readonly priority?: number;
  readonly delayMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly displayName?: string;
  /** Without repetition. */
  readonly tags?: readonly string[];
  readonly retry?: NormalizedRetry;
  readonly timeoutMs?: number;
  /** Counted from the sending. */
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
  /** The task's own function gives the waits. */
  readonly custom?: true;
}

/** The options with `expires` as a moment, for a job that is sent now. */
export function resolveExpiry(options: NormalizedOptions, now: number): NormalizedOptions {
  if (options.expiresMs === undefined) return options;
  const { expiresMs, ...others } = options;
  return others.expiresAt === undefined ? { ...others, expiresAt: now + expiresMs } : others;
}
