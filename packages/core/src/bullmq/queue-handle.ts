import { checkInteger } from '../tasks/options.js';
import type { Rate, RateLimit } from '../tasks/rate.js';
import { rateOf } from '../tasks/rate.js';
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
}

/** The handle of a queue in a store. */
export function queueHandle(store: Store, name: string): QueueHandle {
  return {
    name,
    counts: () =>
      store.on(name, async (queue) => {
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
      }),
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
  };
}

export async function setConcurrency(
  store: Store,
  name: string,
  concurrency: number | undefined,
): Promise<void> {
  await store.on(name, (queue) =>
    concurrency === undefined ? queue.removeGlobalConcurrency() : queue.setGlobalConcurrency(concurrency),
  );
}

export async function setRateLimit(store: Store, name: string, rate: RateLimit | undefined): Promise<void> {
  await store.on(name, (queue) =>
    rate === undefined ? queue.removeGlobalRateLimit() : queue.setGlobalRateLimit(rate.max, rate.durationMs),
  );
}
