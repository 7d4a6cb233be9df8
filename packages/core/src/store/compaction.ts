/**
 * This module shrinks the records of the jobs of a completed run, which the store keeps for as long as its result.
 *
 * BullMQ stores with each step where its parent is, and what a failure of the step means to the parent. A completed step
 * does not need that, and as it is long, Redis stores the whole record in about three times the memory (see
 * `engine/redis/compaction.ts`). Readers notice nothing: the key of the parent stays.
 *
 * Failed jobs keep their records, so that they can be resumed. A worker that dies before leaves the records as they are.
 */
import { setImmediate } from '../base/real-timers.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { compactionIn } from './primitives/ended-jobs.js';
import type { Store } from './store.js';

/** Number of jobs that one command shrinks. */
const TOGETHER = 50;

/** Runs that have completed in this turn of the event loop. */
const completed = new WeakMap<Store, string[]>();

/**
 * Shrinks the records of a run's completed jobs, from the run down, with those of the other runs that complete in this turn of
 * the event loop, a command after the other. Does nothing to a run that has not completed. May be repeated. Nobody waits for
 * it, and it may fail: a run that nobody shrinks only takes more memory.
 */
export function compactRun(store: Store, run: string): void {
  const others = completed.get(store);
  if (others !== undefined) {
    others.push(run);
    return;
  }
  const runs = [run];
  completed.set(store, runs);
  setImmediate(() => {
    completed.delete(store);
    compactRuns(store, runs).catch(() => {});
  });
}

async function compactRuns(store: Store, runs: string[]): Promise<void> {
  const compaction = await store.on(INTERNAL_QUEUE, async (bull) => compactionIn(bull.getBackend()));
  if (compaction === undefined) return;
  const keys: string[] = [];
  while (runs.length + keys.length > 0) {
    const some = { runs: runs.splice(-TOGETHER), keys: keys.splice(-TOGETHER) };
    for (const key of await store.reach(() => compaction.compactJobs(some))) keys.push(key);
  }
}
