/** A queue at one moment, as metrics show it. */
import { INTERNAL_QUEUE } from '../flow/node.js';
import { isPlainObject } from '../wire/plain-object.js';
import { type QueueCounts, queueCounts } from './queue-handle.js';
import type { Store } from './store.js';
import { ifBroken } from './tree.js';

export interface QueueSample {
  readonly queue: string;
  readonly counts: QueueCounts;
  readonly isPaused: boolean;
  /**
   * How long the oldest job has waited for a worker, of those that are looked at; 0 if none waits. Undefined if none of
   * them tells: when a step or a retry was ready is not stored, and Umbel's own jobs are all steps.
   */
  readonly oldestAgeMs: number | undefined;
}

/** Next in line that are looked at. */
const LOOKED_AT = 3;

/** Reads a queue with four commands on Redis; Umbel's own with two. */
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
      bull.getJobs(['waiting', 'prioritized'], 0, LOOKED_AT - 1, true).catch(ifBroken),
      // While more urgent ones keep coming, the last of those with a priority waits without being next.
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
