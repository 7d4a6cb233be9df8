import type { JobsOptions } from 'bullmq';
import { NO_OPTIONS, type NormalizedOptions } from '../tasks/options.js';
import type { NormalizedRetry } from '../tasks/retry.js';
import type { EnvelopeContent } from '../wire/envelope.js';
import type { OwnOptions } from './job-json.js';

/** Of those calls that are the same, which one the store keeps. */
export interface StoredDeduplication {
  readonly id: string;
  readonly mode: 'unique' | 'throttle' | 'debounce';
  readonly forMs?: number;
  /** Of `debounce`: the longest wait since the first call. */
  readonly maxWaitMs?: number;
}

const NONE: OwnOptions = Object.freeze({});

/** Options as BullMQ takes them. */
export function toJobOptions(
  options: NormalizedOptions = NO_OPTIONS,
  deduplication?: StoredDeduplication,
): OwnOptions {
  if (options === NO_OPTIONS && deduplication === undefined) return NONE;
  const { priority, delayMs, retry } = options;
  return {
    ...(priority !== undefined && { priority }),
    ...(delayMs !== undefined && { delay: delayMs }),
    ...(retry !== undefined && toRetryOptions(retry)),
    ...(deduplication !== undefined && toDeduplication(deduplication)),
  };
}

/** Most calls of a task have its own retry. */
const retries = new WeakMap<NormalizedRetry, OwnOptions>();

/** BullMQ's names, so that its own programs can read them; the waits are computed by Umbel's workers (`tasks/retry.ts`). */
function toRetryOptions(retry: NormalizedRetry): OwnOptions {
  const known = retries.get(retry);
  if (known !== undefined) return known;
  const { attempts, backoff, delayMs, maxMs, jitter, custom } = retry;
  const waits = {
    type: backoff,
    delay: delayMs,
    jitter: jitter === 'equal' ? 0.5 : Number(jitter),
    max: maxMs,
    ...(custom && { custom }),
  };
  const options: OwnOptions = { attempts, backoff: Object.freeze(waits) };
  retries.set(retry, options);
  return options;
}

/** The retry that a job was sent with, if there was one. Other programs store what they like. */
export function retryOf({ attempts, backoff }: JobsOptions): NormalizedRetry | undefined {
  if (typeof attempts !== 'number' || !(attempts >= 1)) return undefined;
  const stored: { type?: string; delay?: number; jitter?: number; max?: number; custom?: unknown } =
    typeof backoff === 'object' ? backoff : { type: 'fixed', delay: backoff ?? 0, jitter: 0 };
  return {
    attempts,
    backoff: stored.type === 'fixed' ? 'fixed' : 'exponential',
    delayMs: timeOr(0, stored.delay),
    maxMs: timeOr(Number.MAX_SAFE_INTEGER, stored.max),
    jitter: stored.jitter === 0.5 ? 'equal' : stored.jitter !== 0,
    ...(stored.custom === true && { custom: true }),
  };
}

function timeOr(absent: number, stored: unknown): number {
  return typeof stored === 'number' && stored >= 0 ? stored : absent;
}

/** @see https://docs.bullmq.io/guide/jobs/deduplication */
function toDeduplication({ id, mode, forMs }: StoredDeduplication): OwnOptions {
  if (mode === 'debounce' && forMs !== undefined) {
    return { delay: forMs, deduplication: { id, ttl: forMs, extend: true, replace: true } };
  }
  return { deduplication: { id, ...(forMs !== undefined && { ttl: forMs }) } };
}

/** The options that are stored with the data, since BullMQ has none of the kind. */
export function contentOf(options: NormalizedOptions = NO_OPTIONS): EnvelopeContent | undefined {
  if (options === NO_OPTIONS) return undefined;
  const { headers, tags, displayName, timeoutMs, expiresAt } = options;
  return {
    ...(headers !== undefined && { headers }),
    ...(tags !== undefined && { tags }),
    ...(displayName !== undefined && { label: displayName }),
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    ...(expiresAt !== undefined && { expires: expiresAt }),
  };
}
