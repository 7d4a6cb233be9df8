/** What the store tells of queues, and of the jobs in them that do not run. */
import type { EnvelopeQueue } from './backends.js';
import { knownJob } from './known-job.js';
import type { Store } from './store.js';
import { momentOf, type StoredJob, UNKNOWN_TASK } from './stored-job.js';
import { ifBroken } from './tree.js';

/** A queue's settings, over all its workers. */
export interface QueueSettingsFacts {
  readonly isPaused: boolean;
  readonly concurrency: number | undefined;
  readonly rateLimit: { readonly max: number; readonly durationMs: number } | undefined;
}

/** A job that waits. Times in milliseconds since 1970. */
export interface WaitingJob {
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  readonly runId: string | undefined;
  /** The attempt that it waits for, counted from 1. */
  readonly attempt: number;
  readonly enqueuedAt: number;
  /** When it may start, or might. */
  readonly dueAt: number;
  /** Why its record cannot be read, its times being 0; absent if it can. */
  readonly problem?: string;
}

/** Of the jobs with a priority: they are not in the order of their times. */
const LOOKED_AT = 10;
/** Jobs that are read at a time. */
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

/** Since when the job has waited that has waited longest; undefined if none waits. Of many with a priority, an estimate. */
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

/** The jobs that are taken next, in that order. */
export function nextJobs(store: Store, name: string, limit: number): Promise<WaitingJob[]> {
  return store.on(name, async (queue) => {
    const ids = await ranged(queue, 'wait', 0, limit, true);
    if (ids.length < limit) ids.push(...(await ranged(queue, 'prioritized', 0, limit - ids.length, true)));
    return readJobs(store, queue, ids);
  });
}

/** The jobs that wait for a time, the next one that is due first. */
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

/** Those that are still there. */
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
        // The store does not tell when an attempt has failed, from which on the wait of the next one counts.
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
