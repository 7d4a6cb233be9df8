import type { JobsOptions } from 'bullmq';
import { INTERNAL_OPTIONS } from '../flow/node.js';
import { NO_OPTIONS, type NormalizedOptions } from '../tasks/options.js';
import type { NormalizedRetry } from '../tasks/retry.js';
import type { EnvelopeContent } from '../wire/envelope.js';
import type { OwnOptions } from './job-json.js';
import type { EndedSet } from './primitives/ended-jobs.js';

/** Of those calls that are the same, which one the store keeps. */
export interface StoredDeduplication {
  readonly id: string;
  readonly mode: 'unique' | 'throttle' | 'debounce';
  readonly forMs?: number;
  /** Of `debounce`: the longest wait since the first call. */
  readonly maxWaitMs?: number;
}

const NONE: OwnOptions = Object.freeze({});

/** How long a job is kept that says nothing of it, in milliseconds; and what an app says by default. */
export const DEFAULT_KEPT_MS: Readonly<Record<EndedSet, number>> = {
  completed: 86_400_000,
  failed: 7 * 86_400_000,
};

/**
 * How long jobs are kept once they have ended, as they are stored with each; nothing for what is usual. With BullMQ's
 * names, so that its own programs can read them.
 */
export function toKeepOptions({ completed, failed }: Readonly<Record<EndedSet, number>>): OwnOptions {
  if (completed === DEFAULT_KEPT_MS.completed && failed === DEFAULT_KEPT_MS.failed) return NONE;
  return Object.freeze({
    removeOnComplete: Object.freeze({ age: completed / 1000 }),
    removeOnFail: Object.freeze({ age: failed / 1000 }),
  });
}

/** How long a job is kept once it has ended, from the text of its options; undefined if it says nothing of it. */
export function keptMsOf(options: string, set: EndedSet): number | undefined {
  let stored: JobsOptions;
  try {
    stored = (JSON.parse(options) ?? {}) as JobsOptions; // read as what anybody may have stored
  } catch {
    return undefined;
  }
  const keep: unknown = set === 'completed' ? stored.removeOnComplete : stored.removeOnFail;
  if (keep === false) return Number.POSITIVE_INFINITY;
  if (typeof keep !== 'object' || keep === null || !('age' in keep)) return undefined;
  return typeof keep.age === 'number' && keep.age >= 0 ? keep.age * 1000 : undefined;
}

/** Options as BullMQ takes them. */
export function toJobOptions(
  options: NormalizedOptions = NO_OPTIONS,
  keep: OwnOptions = NONE,
  deduplication?: StoredDeduplication,
): OwnOptions {
  if (options === NO_OPTIONS && deduplication === undefined) return keep;
  const { priority, delayMs, retry } = options;
  return {
    ...keep,
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
  // What `retryOf` takes to hold anyway is left out of internal jobs, which only Umbel runs and whose waits never come near
  // the longest: a hash of Redis needs half the memory while no field has more than 64 bytes.
  const isShort = retry === INTERNAL_OPTIONS.retry;
  const waits = {
    type: backoff,
    delay: delayMs,
    ...(!isShort && { jitter: jitter === 'equal' ? 0.5 : Number(jitter), max: maxMs }),
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
