import type { IQueueBackend, JobJson, JobsOptions, MinimalJob } from 'bullmq';
import { LockLostError } from '../base/errors.js';
import { type Envelope, type EnvelopeContent, isEnvelope } from '../job/envelope.js';
import { INTERNAL_OPTIONS } from '../job/job-tree.js';
import type { NormalizedOptions, NormalizedRetry } from '../job/shared-options.js';
import { NO_OPTIONS } from '../task/options.js';
import type { JobJsonOptions } from './add.js';
import type { EndedSet } from './primitives/ended-jobs.js';
import { primitivesOf } from './primitives/jobs.js';

/** Of those calls that are the same, which one the store keeps. */
export interface StoredDeduplication {
  readonly id: string;
  readonly mode: 'unique' | 'throttle' | 'debounce';
  readonly forMs?: number;
  /** Of `debounce`: the longest wait since the first call. */
  readonly maxWaitMs?: number;
}

const NONE: JobJsonOptions = Object.freeze({});

/** How long a job is kept that says nothing of it, in milliseconds; and what an app says by default. */
export const DEFAULT_KEPT_MS: Readonly<Record<EndedSet, number>> = {
  completed: 86_400_000,
  failed: 7 * 86_400_000,
};

/**
 * How long jobs are kept once they have ended, as they are stored with each; nothing for what is usual. With BullMQ's
 * names, so that its own programs can read them.
 */
export function toKeepOptions({ completed, failed }: Readonly<Record<EndedSet, number>>): JobJsonOptions {
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
  keep: JobJsonOptions = NONE,
  deduplication?: StoredDeduplication,
): JobJsonOptions {
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
const retries = new WeakMap<NormalizedRetry, JobJsonOptions>();

/** BullMQ's names, so that its own programs can read them; the waits are computed by Umbel's workers (`task/retry.ts`). */
function toRetryOptions(retry: NormalizedRetry): JobJsonOptions {
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
  const options: JobJsonOptions = { attempts, backoff: Object.freeze(waits) };
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
function toDeduplication({ id, mode, forMs }: StoredDeduplication): JobJsonOptions {
  if (mode === 'debounce' && forMs !== undefined) {
    return { delay: forMs, deduplication: { id, ttl: forMs, extend: true, replace: true } };
  }
  return { deduplication: { id, ...(forMs !== undefined && { ttl: forMs }) } };
}

/** The options that are stored with the data, since BullMQ has none of the kind. */
export function optionContentOf(options: NormalizedOptions = NO_OPTIONS): EnvelopeContent | undefined {
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

export interface MergeOptions {
  /** The data as it was read before: if it is still the same, one command is enough. */
  readonly known?: Envelope | undefined;
  /** Of a change by the worker that holds the job: how often the job was started when it was claimed. */
  readonly starts?: number;
}

/**
 * Changes a job's data without losing what another process notes with it in the same moment (W18: a mark of a
 * revocation, a failure, what a handler has put in the job's place). `change` gives undefined for nothing to change, and
 * may be called more than once. Gives the data as it is then; undefined if the job is gone, or is none of Umbel's.
 *
 * @throws {LockLostError} if the change is by a worker (`starts`) that does not hold the job any more: another one has
 * started it since, or has stored its outcome. Whoever waits may know that outcome; it must not change.
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
      await backend.updateData({ id } as MinimalJob, next); // all that the command reads of a job
      return next;
    }
    if (await primitives.replaceData(id, current, JSON.stringify(next), only)) return next;
  }
}

/** Whether a job has not ended, and was not started since it was claimed. */
function isHeld({ attemptsStarted, finishedOn }: JobJson, starts: number): boolean {
  return Number(attemptsStarted) === starts && finishedOn === undefined;
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined; // a worker fails it with the reason
  }
}
