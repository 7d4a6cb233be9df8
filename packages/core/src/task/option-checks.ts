/** Checks of the option values that apps, tasks and calls share: names, queues, headers, tags, rates, concurrency. */
import { InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkText } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import type { NormalizedOptions, NormalizedRetry } from '../job/shared-options.js';
import { checkAttempts, normalizeJitter } from './retry.js';

const MAX = Number.MAX_SAFE_INTEGER;

/**
 * Checks the options of a signature that was stored as plain data, and returns them.
 * @throws {InvalidOptionError} at the first unknown or invalid option.
 */
export function readOptions(value: unknown): NormalizedOptions {
  if (!isPlainObject(value)) throw new InvalidOptionError('options', 'an object', value);
  const { queue, priority, delayMs, headers, displayName, tags, retry, ...more } = value as NormalizedOptions;
  const { timeoutMs, expiresMs, expiresAt, ...unknown } = more;
  refuseUnknown('options', unknown);
  return {
    ...(queue !== undefined && { queue: checkQueue('queue', queue) }),
    ...(priority !== undefined && { priority: checkPriority(priority) }),
    ...(delayMs !== undefined && { delayMs: checkInteger('delayMs', delayMs, 0, MAX) }),
    ...(headers !== undefined && { headers: checkHeaders(headers) }),
    ...(displayName !== undefined && {
      displayName: checkText('displayName', displayName, MAX_DISPLAY_NAME),
    }),
    ...(tags !== undefined && { tags: checkTags(tags) }),
    ...(retry !== undefined && { retry: readRetry(retry) }),
    ...(timeoutMs !== undefined && { timeoutMs: checkInteger('timeoutMs', timeoutMs, 1, MAX) }),
    ...(expiresMs !== undefined && { expiresMs: checkInteger('expiresMs', expiresMs, 1, MAX) }),
    ...(expiresAt !== undefined && { expiresAt: checkInteger('expiresAt', expiresAt, -MAX, MAX) }),
  };
}

/** Reads retry options. There is no `custom` here: it marks a task's back-off function, which plain data cannot hold. */
function readRetry(value: unknown): NormalizedRetry {
  if (!isPlainObject(value)) throw new InvalidOptionError('retry', 'an object', value);
  const { attempts, backoff, delayMs, maxMs, jitter, ...unknown } = value as unknown as NormalizedRetry;
  refuseUnknown('retry', unknown);
  if (backoff !== 'fixed' && backoff !== 'exponential') {
    throw new InvalidOptionError('retry.backoff', `'fixed' or 'exponential'`, backoff);
  }
  return {
    attempts: checkAttempts(attempts),
    backoff,
    delayMs: checkInteger('retry.delayMs', delayMs, 0, MAX),
    maxMs: checkInteger('retry.maxMs', maxMs, 0, MAX),
    jitter: normalizeJitter(jitter),
  };
}

function refuseUnknown(owner: string, rest: object): void {
  const [name] = Object.keys(rest);
  if (name !== undefined)
    throw new InvalidOptionError(`${owner}.${name}`, 'absent: there is no such option', rest);
}

/** BullMQ keeps priorities in 21 bits. */
const MAX_PRIORITY = 2 ** 21 - 1;

export const MAX_DISPLAY_NAME = 200;

const MAX_TAGS = 20;

const MAX_TAG = 200;

const NAME = /^[A-Za-z0-9_.-]{1,100}$/;

const PREFIX = /^[A-Za-z0-9_.:{}-]{1,200}$/;

/** Returns a copy of the headers. @throws {InvalidOptionError} unless all values are strings and no key is `__proto__`. */
export function checkHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (!isPlainObject(headers))
    throw new InvalidOptionError('headers', 'an object whose values are text', headers);
  const wrong = Object.entries(headers).find(([, value]) => typeof value !== 'string');
  if (wrong !== undefined) throw new InvalidOptionError(`headers.${wrong[0]}`, 'text', wrong[1]);
  if (Object.hasOwn(headers, '__proto__'))
    throw new InvalidOptionError('headers', 'an object without an own key "__proto__"', headers);
  return { ...headers };
}

/** Returns the tags without duplicates. @throws {InvalidOptionError} beyond 20 tags, or 200 characters in a tag. */
export function checkTags(tags: readonly string[]): readonly string[] {
  if (!Array.isArray(tags)) throw new InvalidOptionError('tags', 'a list of texts', tags);
  for (const tag of tags as string[]) checkText('tags', tag, MAX_TAG);
  const unique = new Set(tags as string[]);
  if (unique.size > MAX_TAGS) throw new InvalidOptionError('tags', `at most ${MAX_TAGS} texts`, unique.size);
  return unique.size === tags.length ? tags.slice() : [...unique];
}

/** Returns `queue`. @throws {InvalidOptionError} unless a user's queue can have this name. */
export function checkQueue(option: string, queue: string): string {
  if (queue === INTERNAL_QUEUE) {
    throw new InvalidOptionError(
      option,
      `a name other than "${INTERNAL_QUEUE}", which is reserved for Umbel`,
      queue,
    );
  }
  return checkName(option, queue);
}

/** Returns whether an app, a queue or a task can have this name. */
export function isName(name: unknown): boolean {
  return typeof name === 'string' && NAME.test(name);
}

/** Returns `name`. @throws {InvalidOptionError} unless an app, a queue or a task can have this name. */
export function checkName<Name extends string>(option: string, name: Name): Name {
  if (!isName(name)) {
    throw new InvalidOptionError(option, '1 to 100 letters, digits, "_", "." or "-"', name);
  }
  return name;
}

/** Returns `prefix`. @throws {InvalidOptionError} unless store keys can begin with it. */
export function checkPrefix(prefix: string): string {
  if (typeof prefix !== 'string' || !PREFIX.test(prefix)) {
    throw new InvalidOptionError(
      'prefix',
      '1 to 200 letters, digits, "_", ".", "-", ":", "{" or "}"',
      prefix,
    );
  }
  return prefix;
}

/** Returns `priority`. @throws {InvalidOptionError} unless it is a whole number that BullMQ can store. */
export function checkPriority(priority: number): number {
  return checkInteger('priority', priority, 0, MAX_PRIORITY);
}

/** Jobs per second, minute, hour or day, such as `'100/s'`. */
export type Rate = `${number}/${'s' | 'm' | 'h' | 'd'}`;

export interface RateLimit {
  readonly max: number;
  readonly durationMs: number;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses a rate. @throws {InvalidOptionError} for `option`, if the text is not a rate. */
export function rateOf(rate: Rate, option: string): RateLimit {
  const [count, unit = '', ...rest] = String(rate).split('/');
  const max = Number(count);
  const durationMs = UNIT_MS[unit];
  if (durationMs === undefined || rest.length > 0 || !Number.isInteger(max) || max < 1) {
    throw new InvalidOptionError(option, `a rate such as '100/s', '10/m', '1000/h'`, rate);
  }
  return { max, durationMs };
}

/**
 * Number of jobs of one queue that run at the same time: fixed, or adapted to the load between two bounds. It grows while
 * all slots are in use and the process has spare CPU time, and shrinks while the event loop is late or slots are free.
 * @example
 * const worker = app.worker({ concurrency: { min: 4, max: 64 } });
 */
export type Concurrency = number | { readonly min: number; readonly max: number };

export interface ConcurrencyBounds {
  readonly min: number;
  readonly max: number;
}

/** Returns the bounds of a concurrency. @throws {InvalidOptionError} unless they are whole numbers from 1 to 100,000. */
export function concurrencyBounds(option: string, concurrency: Concurrency): ConcurrencyBounds {
  if (!isPlainObject(concurrency)) {
    const value = checkInteger(option, concurrency as number, 1, 100_000); // throws for any other type
    return { min: value, max: value };
  }
  const min = checkInteger(`${option}.min`, concurrency.min, 1, 100_000);
  const max = checkInteger(`${option}.max`, concurrency.max, 1, 100_000);
  if (max < min) throw new InvalidOptionError(`${option}.max`, `at least ${option}.min (${min})`, max);
  return { min, max };
}
