/** This module reads and changes whole queues: `app.queue()`, the inspection of queues, and metrics use it. */
import { checkInteger } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { type Rate, type RateLimit, rateOf } from '../task/option-checks.js';
import { primitivesOf } from './primitives/jobs.js';
import { countsIn, limitsOf, type QueueLimits } from './primitives/queues.js';
import { type PurgeCounts, type PurgeOptions, purgeQueue } from './purge.js';
import type { EnvelopeQueue } from './queue-pool.js';
import { knownJob, readJob } from './read.js';
import type { Store } from './store.js';
import { momentOf, type StoredJob, UNKNOWN_TASK } from './stored-job.js';
import { ifBroken } from './tree.js';

/** Number of jobs of a queue by state. */
export interface QueueCounts {
  readonly waiting: number;
  readonly delayed: number;
  readonly 'waiting-children': number;
  readonly active: number;
  readonly completed: number;
  /** Includes expired and revoked jobs. */
  readonly failed: number;
}

/** A whole queue, across all its workers. Changes take effect at once for every worker. */
export interface QueueHandle {
  readonly name: string;
  counts(): Promise<QueueCounts>;
  /** Stops workers from starting jobs of the queue until `resume`. Running jobs continue. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  isPaused(): Promise<boolean>;
  /** Limits the jobs of the queue that run at the same time in all workers together; undefined removes the limit. */
  setConcurrency(concurrency: number | undefined): Promise<void>;
  /** Limits the starts of jobs of the queue in all workers together (such as `'100/s'`); undefined removes the limit. */
  setRateLimit(rate: Rate | undefined): Promise<void>;
  /**
   * Removes the waiting jobs of the queue permanently: callers that wait for one of them get an `UnknownJobError`. Steps of
   * runs are not removed, because their runs would never end. Instead, their runs are revoked, and workers end the steps
   * without running them. Running jobs continue. Jobs that are added during the purge stay, except delayed jobs of the
   * first two seconds. The store removes a few hundred jobs at a time and serves other clients in between. An interrupted
   * purge has removed a part of the jobs and can be repeated.
   * @example
   * await app.queue('mail').purge({ onProgress: ({ done, total }) => console.log(`${done} of ${total}`) });
   * @throws {InvalidOptionError} for Umbel's own queue.
   */
  purge(options?: PurgeOptions): Promise<PurgeCounts>;
}

/** Returns the handle of a queue in a store; `now` returns the time of the app. */
export function queueHandle(store: Store, name: string, now: () => number): QueueHandle {
  return {
    name,
    counts: () => queueCounts(store, name),
    pause: () => store.on(name, (queue) => queue.pause()),
    resume: () => store.on(name, (queue) => queue.resume()),
    isPaused: () => store.on(name, (queue) => queue.isPaused()),
    async setConcurrency(concurrency) {
      if (concurrency !== undefined) checkInteger('concurrency', concurrency, 1, 1_000_000);
      await setConcurrency(store, name, concurrency);
    },
    async setRateLimit(rate) {
      await setRateLimit(store, name, rate === undefined ? undefined : rateOf(rate, 'rate'));
    },
    purge: (options = {}) => purgeQueue(store, name, options, now),
  };
}

export function queueCounts(store: Store, name: string): Promise<QueueCounts> {
  return store.on(name, async (queue) => {
    const counts = await queue.getJobCounts();
    const of = (state: string) => counts[state] ?? 0;
    return {
      waiting: of('waiting') + of('prioritized') + of('paused'),
      delayed: of('delayed'),
      'waiting-children': of('waiting-children'),
      active: of('active'),
      completed: of('completed'),
      failed: of('failed'),
    };
  });
}

/** Returns the numbers of jobs of a queue, each exact below a limit: a store may take long to count very many jobs. */
export async function queueCountsUpTo(store: Store, name: string, limit: number): Promise<QueueCounts> {
  const counts = await store.on(name, async (queue) => countsIn(queue.getBackend())?.countsUpTo(limit));
  if (counts === undefined) return queueCounts(store, name);
  const { prioritized, waiting, ...others } = counts;
  return { ...others, waiting: waiting + prioritized };
}

export async function setConcurrency(
  store: Store,
  name: string,
  concurrency: number | undefined,
): Promise<void> {
  await setLimits(store, name, { concurrency: concurrency ?? null });
}

export async function setRateLimit(store: Store, name: string, rate: RateLimit | undefined): Promise<void> {
  await setLimits(store, name, { rate: rate ?? null });
}

function setLimits(store: Store, name: string, limits: QueueLimits): Promise<void> {
  return store.on(name, async (queue) => {
    const backend = queue.getBackend();
    const primitive = limitsOf(backend);
    if (primitive !== undefined) return primitive.setLimits(limits);
    const { concurrency, rate } = limits;
    if (concurrency === null) await queue.removeGlobalConcurrency();
    else if (concurrency !== undefined) await queue.setGlobalConcurrency(concurrency);
    if (rate === undefined) return;
    const before = await backend.getQueueMetaField('duration');
    if (rate === null) await queue.removeGlobalRateLimit();
    else await queue.setGlobalRateLimit(rate.max, rate.durationMs);
    if (before !== null && Number(before) !== rate?.durationMs) await queue.removeRateLimitKey();
  });
}

// Settings of queues, and jobs that wait.

/** Settings of a queue, across all its workers. */
export interface QueueSettingsFacts {
  readonly isPaused: boolean;
  readonly concurrency: number | undefined;
  readonly rateLimit: { readonly max: number; readonly durationMs: number } | undefined;
}

/** A waiting job. Times are in milliseconds since 1970. */
export interface WaitingJob {
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  readonly runId: string | undefined;
  /** Number of the next attempt, from 1. */
  readonly attempt: number;
  readonly enqueuedAt: number;
  /** Earliest start. */
  readonly dueAt: number;
  /** Why its record is unreadable; its times are then 0. Absent if it is readable. */
  readonly problem?: string;
}

/** Number of prioritized jobs to read: they are not sorted by time. */
const LOOKED_AT = 10;
/** Number of jobs that are read concurrently. */
const PAGE = 100;

export function queueSettings(store: Store, name: string): Promise<QueueSettingsFacts> {
  return store.on(name, async (queue) => {
    const meta = await queue.getBackend().getQueueMeta();
    const number = (field: string) => {
      const value = Number(Object.hasOwn(meta, field) ? meta[field] : undefined);
      return Number.isFinite(value) && value > 0 ? value : undefined;
    };
    const [max, durationMs] = [number('max'), number('duration')];
    return {
      isPaused: Object.hasOwn(meta, 'paused'),
      concurrency: number('concurrency'),
      rateLimit: max !== undefined && durationMs !== undefined ? { max, durationMs } : undefined,
    };
  });
}

/** Returns since when the oldest waiting job has waited; undefined if none waits. With many prioritized jobs, an estimate. */
export async function oldestWaitingAt(store: Store, name: string): Promise<number | undefined> {
  const jobs = await store.on(name, async (queue) => {
    const next = await ranged(queue, 'wait', 0, 1, true);
    const first = await ranged(queue, 'prioritized', 0, LOOKED_AT, true);
    const last = first.length < LOOKED_AT ? [] : await ranged(queue, 'prioritized', 0, LOOKED_AT, false);
    return readJobs(store, queue, [...new Set([...next, ...first, ...last])]);
  });
  const times = jobs.map(({ dueAt }) => dueAt).filter((time) => time > 0);
  return times.length === 0 ? undefined : Math.min(...times);
}

/** Returns the jobs that workers start next, in order. */
export function nextJobs(store: Store, name: string, limit: number): Promise<WaitingJob[]> {
  return store.on(name, async (queue) => {
    const ids = await ranged(queue, 'wait', 0, limit, true);
    if (ids.length < limit) ids.push(...(await ranged(queue, 'prioritized', 0, limit - ids.length, true)));
    return readJobs(store, queue, ids);
  });
}

/** Returns a job that has not started, or waits for a retry; undefined if the store does not hold it. */
export async function waitingJob(store: Store, { queue, id }: JobRef): Promise<WaitingJob | undefined> {
  return store.on(queue, async (bull) => (await readJobs(store, bull, [id]))[0]);
}

/** Returns how many jobs workers take before this one, if these are fewer than `limit`; else undefined. */
export async function jobsAhead(
  store: Store,
  { queue, id }: JobRef,
  limit: number,
): Promise<number | undefined> {
  return store.on(queue, async (bull) => {
    const next = await ranged(bull, 'wait', 0, limit, true);
    if (next.includes(id)) return next.indexOf(id);
    if (next.length === limit) return undefined;
    const at = (await ranged(bull, 'prioritized', 0, limit - next.length, true)).indexOf(id);
    return at < 0 ? undefined : next.length + at;
  });
}

/** Returns whether a worker holds the lock of a job. True for a store that does not tell. */
export async function hasLock(store: Store, { queue, id }: JobRef): Promise<boolean> {
  return store.on(queue, async (bull) => (await primitivesOf(bull.getBackend())?.hasLock?.(id)) ?? true);
}

/** Makes a delayed job due now. Returns false if a worker started it first, or it was removed. */
export async function promoteJob(store: Store, { queue, id }: JobRef): Promise<boolean> {
  return store.on(queue, async (bull) => {
    try {
      await bull.getBackend().promote(id);
      return true;
    } catch (error) {
      if ((await bull.getJobState(id)) !== 'delayed') return false;
      throw error;
    }
  });
}

/** Returns delayed jobs, the earliest first. */
export function delayedJobs(store: Store, name: string, limit: number): Promise<WaitingJob[]> {
  return store.on(name, async (queue) =>
    readJobs(store, queue, await ranged(queue, 'delayed', 0, limit, true)),
  );
}

function ranged(
  queue: EnvelopeQueue,
  state: 'wait' | 'prioritized' | 'delayed',
  offset: number,
  limit: number,
  isAscending: boolean,
): Promise<string[]> {
  return queue.getRanges([state], offset, offset + limit - 1, isAscending);
}

/** Reads jobs; skips removed ones. */
async function readJobs(store: Store, queue: EnvelopeQueue, ids: readonly string[]): Promise<WaitingJob[]> {
  const found: WaitingJob[] = [];
  for (let at = 0; at < ids.length; at += PAGE) {
    const jobs = await Promise.all(ids.slice(at, at + PAGE).map((id) => queue.getJob(id).catch(ifBroken)));
    for (const [index, job] of jobs.entries()) {
      if (job === undefined) {
        const known = await knownJob(store, { queue: queue.name, id: ids[at + index] ?? '' });
        if (known !== undefined) found.push(unreadable(known));
        continue;
      }
      const { id = '', name, timestamp, delay = 0, opts, processedOn, attemptsMade, data } = job;
      const run: unknown = data?.alone === true ? undefined : data?.run;
      found.push({
        id,
        task: name || UNKNOWN_TASK,
        queue: queue.name,
        runId: typeof run === 'string' ? run : undefined,
        attempt: (attemptsMade || 0) + 1,
        enqueuedAt: momentOf(timestamp) ?? 0,
        // The store has no time of the failed attempt, from which the delay counts: use its start.
        dueAt:
          momentOf(
            processedOn === undefined ? timestamp + (delay || (opts.delay ?? 0)) : processedOn + delay,
          ) ?? 0,
      });
    }
  }
  return found;
}

function unreadable({ id, name, queue, attempts, enqueuedAt, problem }: StoredJob): WaitingJob {
  return {
    id,
    task: name,
    queue,
    runId: undefined,
    attempt: attempts + 1,
    enqueuedAt,
    dueAt: enqueuedAt,
    ...(problem !== undefined && { problem }),
  };
}

// Samples of queues for metrics.

export interface QueueSample {
  readonly queue: string;
  readonly counts: QueueCounts;
  readonly isPaused: boolean;
  /**
   * Age of the oldest of the sampled waiting jobs, in milliseconds; 0 if none waits. Undefined if unknown: the store does
   * not hold when a step or a retry became ready, and all internal jobs are steps.
   */
  readonly oldestAgeMs: number | undefined;
}

/** Number of next jobs to sample. */
const SAMPLED = 3;

/** Samples a queue with four commands on Redis; the internal queue with two. */
export async function sampleQueue(store: Store, queue: string, now: number): Promise<QueueSample> {
  const [counts, isPaused, oldestAgeMs] = await Promise.all([
    queueCounts(store, queue),
    store.on(queue, (bull) => bull.isPaused()),
    queue === INTERNAL_QUEUE ? undefined : oldestAge(store, queue, now),
  ]);
  return { queue, counts, isPaused, oldestAgeMs: counts.waiting === 0 ? 0 : oldestAgeMs };
}

async function oldestAge(store: Store, queue: string, now: number): Promise<number | undefined> {
  const [next = [], last = []] = await store.on(queue, (bull) =>
    Promise.all([
      bull.getJobs(['waiting', 'prioritized'], 0, SAMPLED - 1, true).catch(ifBroken),
      // While more urgent jobs keep coming, the last prioritized job waits without being next.
      bull.getJobs(['prioritized'], 0, 0, false).catch(ifBroken),
    ]),
  );
  let oldest: number | undefined;
  for (const { timestamp, opts, attemptsMade, attemptsStarted, data } of [...next, ...last]) {
    if (attemptsMade > 0 || attemptsStarted > 0 || (isPlainObject(data) && data.after !== undefined))
      continue;
    const ageMs = Math.max(0, now - timestamp - (opts.delay ?? 0));
    oldest = Math.max(oldest ?? 0, ageMs);
  }
  return oldest;
}

// Jobs of a queue that have not started.

/** Returns up to `limit` jobs of a queue that wait or are delayed. */
export async function queuedJobs(store: Store, queue: string, limit: number): Promise<StoredJob[]> {
  const ids: string[] = await store.on(queue, async (bull) => [
    ...(await bull.getRanges(['wait', 'prioritized'], 0, limit - 1, true)),
    ...(await bull.getRanges(['delayed'], 0, limit - 1, true)),
  ]);
  const jobs: StoredJob[] = [];
  for (const id of new Set(ids)) {
    const job = await readJob(store, { queue, id });
    if (job !== undefined) jobs.push(job);
    if (jobs.length === limit) break;
  }
  return jobs;
}

/** Returns how long the rate limit of a queue stays exhausted, in milliseconds; 0 or less if it is not exhausted. */
export function rateLimitTtlOf(store: Store, queue: string): Promise<number> {
  return store.on(queue, (bull) => bull.getRateLimitTtl());
}
