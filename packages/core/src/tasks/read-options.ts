import { InvalidOptionError } from '../errors.js';
import { isPlainObject } from '../wire/plain-object.js';
import {
  checkHeaders,
  checkInteger,
  checkPriority,
  checkQueue,
  checkTags,
  checkText,
  MAX_DISPLAY_NAME,
  type NormalizedOptions,
} from './options.js';
import { checkAttempts, type NormalizedRetry, normalizeJitter } from './retry.js';

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
