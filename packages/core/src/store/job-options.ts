/**
 * This module converts options of jobs to BullMQ's form and back, and changes the data of stored jobs without losing
 * concurrent changes.
 */
import type { IQueueBackend, JobJson, JobsOptions, MinimalJob } from 'bullmq';
import { LockLostError } from '../base/failures.js';
import type { Writable } from '../base/option-checks.js';
import { type Envelope, type EnvelopeContent, isEnvelope } from '../job/envelope.js';
import { INTERNAL_OPTIONS } from '../job/job-tree.js';
import type { NormalizedOptions, NormalizedRetry } from '../job/shared-options.js';
import { NO_OPTIONS } from '../task/options.js';
import type { JobJsonOptions } from './add.js';
import type { EndedSet } from './primitives/ended-jobs.js';
import { primitivesOf } from './primitives/jobs.js';

/** Deduplication of a call: which one of several equal calls the store keeps. */
export interface StoredDeduplication {
  readonly id: string;
  readonly mode: 'unique' | 'throttle' | 'debounce';
  readonly forMs?: number;
  /** For `debounce`: maximum wait since the first call. */
  readonly maxWaitMs?: number;
}

const NONE: JobJsonOptions = Object.freeze({});

/** Default retention of ended jobs in milliseconds: for jobs that store none, and for apps that set none. */
export const DEFAULT_KEPT_MS: Readonly<Record<EndedSet, number>> = {
  completed: 86_400_000,
  failed: 7 * 86_400_000,
};

/**
 * Returns the retention that is stored with each job; no options for the default. The names are BullMQ's, so that
 * BullMQ's own tools can read them.
 */
export function toKeepOptions({ completed, failed }: Readonly<Record<EndedSet, number>>): JobJsonOptions {
  if (completed === DEFAULT_KEPT_MS.completed && failed === DEFAULT_KEPT_MS.failed) return NONE;
  return Object.freeze({
    removeOnComplete: Object.freeze({ age: completed / 1000 }),
    removeOnFail: Object.freeze({ age: failed / 1000 }),
  });
}

/** Returns the retention in milliseconds from the text of a job's options; undefined if they contain none. */
export function keptMsOf(options: string, set: EndedSet): number | undefined {
  let stored: JobsOptions;
  try {
    stored = (JSON.parse(options) ?? {}) as JobsOptions; // checked below: any program may have stored it
  } catch {
    return undefined;
  }
  const keep: unknown = set === 'completed' ? stored.removeOnComplete : stored.removeOnFail;
  if (keep === false) return Number.POSITIVE_INFINITY;
  if (typeof keep !== 'object' || keep === null || !('age' in keep)) return undefined;
  return typeof keep.age === 'number' && keep.age >= 0 ? keep.age * 1000 : undefined;
}

/** Returns options in BullMQ's form. */
export function toJobOptions(
  options: NormalizedOptions = NO_OPTIONS,
  keep: JobJsonOptions = NONE,
  deduplication?: StoredDeduplication,
): JobJsonOptions {
  const { priority, delayMs, retry } = options;
  // Most calls: one object for all of them, without copies of conditional spreads.
  if ((priority ?? delayMs ?? retry ?? deduplication) === undefined) return keep;
  return {
    ...keep,
    ...(priority !== undefined && { priority }),
    ...(delayMs !== undefined && { delay: delayMs }),
    ...(retry !== undefined && toRetryOptions(retry)),
    ...(deduplication !== undefined && toDeduplication(deduplication)),
  };
}

/** Converted retry options. Most calls of a task share the retry of the task. */
const retries = new WeakMap<NormalizedRetry, JobJsonOptions>();

/** Uses BullMQ's names, so that its own tools can read them; Umbel's workers compute the delays (`task/retry.ts`). */
function toRetryOptions(retry: NormalizedRetry): JobJsonOptions {
  const known = retries.get(retry);
  if (known !== undefined) return known;
  const { attempts, backoff, delayMs, maxMs, jitter, custom } = retry;
  // Internal jobs omit the values that `retryOf` assumes by default: only Umbel runs them, and their delays stay far below
  // the maximum. A Redis hash needs half the memory while no field has more than 64 bytes.
  const isShort = retry === INTERNAL_OPTIONS.retry;
  const waits = {
    type: backoff,
    delay: delayMs,
    ...(!isShort && { jitter: jitter === 'equal' ? 0.5 : Number(jitter), max: maxMs }),
    ...(custom && { custom }),
  };
  const options: JobJsonOptions = { attempts, backoff: Object.freeze(waits) };
  retries.set(retry, options);
  return options;
}

/** Returns the retry that a job was sent with, or undefined. Values are checked: other programs may store anything. */
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
function toDeduplication({ id, mode, forMs }: StoredDeduplication): JobJsonOptions {
  if (mode === 'debounce' && forMs !== undefined) {
    return { delay: forMs, deduplication: { id, ttl: forMs, extend: true, replace: true } };
  }
  return { deduplication: { id, ...(forMs !== undefined && { ttl: forMs }) } };
}

/** Returns the options that are stored with the data, because BullMQ has no such options. */
export function optionContentOf(options: NormalizedOptions = NO_OPTIONS): EnvelopeContent | undefined {
  if (options === NO_OPTIONS) return undefined;
  const { headers, tags, displayName, timeoutMs, expiresAt } = options;
  const content: Writable<EnvelopeContent> = {};
  if (tags !== undefined) content.tags = tags; // first: see `TAGGED_DATA`
  if (headers !== undefined) content.headers = headers;
  if (displayName !== undefined) content.label = displayName;
  if (timeoutMs !== undefined) content.timeout = timeoutMs;
  if (expiresAt !== undefined) content.expires = expiresAt;
  return content;
}

export interface MergeOptions {
  /** The data that was read before. If it is unchanged, one command is enough. */
  readonly known?: Envelope | undefined;
  /** For a change by the worker that holds the job: number of starts of the job when it was claimed. */
  readonly starts?: number;
}

/**
 * Changes a job's data without losing concurrent changes by other processes (W18: a mark of a revocation, a failure, a
 * replacement that a handler stores). `change` returns undefined for no change, and may be called more than once.
 * Returns the data after the change; undefined if the job is missing or is not Umbel's.
 *
 * @throws {LockLostError} if `starts` is set and that worker no longer holds the job: another worker has started it
 * since, or has stored its outcome. Callers may already have read that outcome, so it must not change.
 */
export async function mergeData(
  backend: IQueueBackend,
  id: string,
  change: (data: Envelope) => Envelope | undefined,
  { known, starts }: MergeOptions = {},
): Promise<Envelope | undefined> {
  const primitives = primitivesOf(backend);
  const only = starts === undefined ? undefined : { starts };
  if (known !== undefined && primitives !== undefined) {
    const next = change(known);
    if (next === undefined) return known;
    if (await primitives.replaceData(id, JSON.stringify(known), JSON.stringify(next), only)) return next;
  }
  for (;;) {
    const stored = await backend.getJobData(id);
    if (stored !== undefined && starts !== undefined && !isHeld(stored, starts)) throw new LockLostError(id);
    const current = stored?.data;
    const data = parsed(current);
    if (current === undefined || !isEnvelope(data)) return undefined;
    const next = change(data as Envelope);
    if (next === undefined) return data as Envelope;
    if (primitives === undefined) {
      await backend.updateData({ id } as MinimalJob, next); // the command reads only the id
      return next;
    }
    if (await primitives.replaceData(id, current, JSON.stringify(next), only)) return next;
  }
}

/** Returns whether a job has not ended and was not started again since it was claimed. */
function isHeld({ attemptsStarted, finishedOn }: JobJson, starts: number): boolean {
  return Number(attemptsStarted) === starts && finishedOn === undefined;
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined; // the worker that claims the job fails it with the reason
  }
}
