import { checkInteger } from '../tasks/options.js';
import type { Rate, RateLimit } from '../tasks/rate.js';
import { rateOf } from '../tasks/rate.js';
import { limitsOf, type QueueLimits } from './primitives/limits.js';
import { type PurgeCounts, type PurgeOptions, purgeQueue } from './purging.js';
import type { Store } from './store.js';

/** Jobs of a queue by state. */
export interface QueueCounts {
  readonly waiting: number;
  readonly delayed: number;
  readonly 'waiting-children': number;
  readonly active: number;
  readonly completed: number;
  /** Also expired and revoked ones. */
  readonly failed: number;
}

/** A queue as a whole, over all its workers. Changes hold at once and for every worker. */
export interface QueueHandle {
  readonly name: string;
  counts(): Promise<QueueCounts>;
  /** Workers take no more jobs of the queue until `resume`; those that run go on. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  isPaused(): Promise<boolean>;
  /** Jobs of the queue that run at the same time in all workers together; without a number, no limit but their own. */
  setConcurrency(concurrency: number | undefined): Promise<void>;
  /** Jobs of the queue that start in a time in all workers together (`'100/s'`); without one, no limit. */
  setRateLimit(rate: Rate | undefined): Promise<void>;
  /**
   * Removes the jobs that wait in the queue, for good: whoever waits for one of them gets an `UnknownJobError`. A step of
   * a run is not removed, since the run would never end; its run is revoked as a whole, and the step stays until a worker
   * takes it, which ends it without running it. Jobs that run go on. What is added meanwhile stays, but for
   * delayed jobs of the first two seconds. The store removes a few hundred jobs at a time and serves others in between.
   * A purge that was interrupted has removed a part, and can be repeated.
   * @example
   * await app.queue('mail').purge({ onProgress: ({ done, total }) => console.log(`${done} of ${total}`) });
   * @throws {InvalidOptionError} for Umbel's own queue.
   */
  purge(options?: PurgeOptions): Promise<PurgeCounts>;
}

/** The handle of a queue in a store; `now` gives the time of the app. */
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
