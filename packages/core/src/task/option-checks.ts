import { InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkText } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import type { NormalizedOptions, NormalizedRetry } from '../job/shared-options.js';
import { checkAttempts, normalizeJitter } from './retry.js';

const MAX = Number.MAX_SAFE_INTEGER;

/**
 * Options of a signature that were stored as plain data, checked.
 * @throws {InvalidOptionError} at the first one that no signature can have.
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

/** A task decides by functions, which no data can hold, so there is no `custom` here. */
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
export const MAX_PRIORITY = 2 ** 21 - 1;

export const MAX_DISPLAY_NAME = 200;

export const MAX_TAGS = 20;

export const MAX_TAG = 200;

export const NAME = /^[A-Za-z0-9_.-]{1,100}$/;

export const PREFIX = /^[A-Za-z0-9_.:{}-]{1,200}$/;

/** A copy of the headers. @throws {InvalidOptionError} unless every one is text, and none is called `__proto__`. */
export function checkHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (!isPlainObject(headers))
    throw new InvalidOptionError('headers', 'an object whose values are text', headers);
  const wrong = Object.entries(headers).find(([, value]) => typeof value !== 'string');
  if (wrong !== undefined) throw new InvalidOptionError(`headers.${wrong[0]}`, 'text', wrong[1]);
  if (Object.hasOwn(headers, '__proto__'))
    throw new InvalidOptionError('headers', 'an object without a key "__proto__" of its own', headers);
  return { ...headers };
}

/** The tags, each once. @throws {InvalidOptionError} unless they are few enough texts of the right length. */
export function checkTags(tags: readonly string[]): readonly string[] {
  if (!Array.isArray(tags)) throw new InvalidOptionError('tags', 'a list of texts', tags);
  const unique = new Set<string>();
  for (const tag of tags as string[]) unique.add(checkText('tags', tag, MAX_TAG));
  if (unique.size > MAX_TAGS) throw new InvalidOptionError('tags', `at most ${MAX_TAGS} texts`, unique.size);
  return [...unique];
}

/** `queue` itself. @throws {InvalidOptionError} if it cannot be the name of a user's queue. */
export function checkQueue(option: string, queue: string): string {
  if (queue === INTERNAL_QUEUE) {
    throw new InvalidOptionError(
      option,
      `another name than "${INTERNAL_QUEUE}", which Umbel keeps for itself`,
      queue,
    );
  }
  return checkName(option, queue);
}

/** Whether an app, a queue or a task can have this name. */
export function isName(name: unknown): boolean {
  return typeof name === 'string' && NAME.test(name);
}

/** `name` itself. @throws {InvalidOptionError} if it cannot be the name of an app, a queue or a task. */
export function checkName<Name extends string>(option: string, name: Name): Name {
  if (!isName(name)) {
    throw new InvalidOptionError(option, '1 to 100 letters, digits, "_", "." or "-"', name);
  }
  return name;
}

/** `prefix` itself. @throws {InvalidOptionError} if the keys in a store cannot begin so. */
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

/** `priority` itself. @throws {InvalidOptionError} unless it is one that the store can keep. */
export function checkPriority(priority: number): number {
  return checkInteger('priority', priority, 0, MAX_PRIORITY);
}

/** So many in a second, minute, hour or day. */
export type Rate = `${number}/${'s' | 'm' | 'h' | 'd'}`;

export interface RateLimit {
  readonly max: number;
  readonly durationMs: number;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @throws {InvalidOptionError} naming `option` if the text is not a rate. */
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
 * Jobs of one queue that run at the same time: a number, or bounds between which it follows the load. It grows while
 * every place is taken and this process has time to spare, and shrinks while its event loop is late or places are free.
 */
export type Concurrency = number | { readonly min: number; readonly max: number };

export interface ConcurrencyBounds {
  readonly min: number;
  readonly max: number;
}

/** @throws {InvalidOptionError} */
export function concurrencyBounds(option: string, concurrency: Concurrency): ConcurrencyBounds {
  if (!isPlainObject(concurrency)) {
    const value = checkInteger(option, concurrency as number, 1, 100_000); // or something else, which it refuses
    return { min: value, max: value };
  }
  const min = checkInteger(`${option}.min`, concurrency.min, 1, 100_000);
  const max = checkInteger(`${option}.max`, concurrency.max, 1, 100_000);
  if (max < min) throw new InvalidOptionError(`${option}.max`, `at least ${option}.min (${min})`, max);
  return { min, max };
}
