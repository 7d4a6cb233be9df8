/** Empties a queue of what has not started. */

import { InvalidOptionError } from '../base/errors.js';
import { checkBoolean, checkOptions, type OptionNames } from '../base/option-checks.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import type { Store } from './store.js';
import type { StoredJob } from './stored-job.js';

export interface PurgeOptions {
  /** Also jobs that wait for a time: for their countdown, or another attempt. Default false. */
  delayed?: boolean | undefined;
}

/** What a purge did. */
export interface PurgeCounts {
  /** Jobs that are gone from the store. */
  readonly removed: number;
  /** Runs that were revoked, since steps of theirs waited in the queue. */
  readonly revokedRuns: number;
}

const PURGE: OptionNames<PurgeOptions> = { delayed: true };

/** Jobs that are changed at the same time. */
const TOGETHER = 50;

/** @throws {InvalidOptionError} */
export async function purgeQueue(
  store: Store,
  queue: string,
  options: PurgeOptions,
  time: () => number,
): Promise<PurgeCounts> {
  const { delayed = false } = checkOptions(options, PURGE);
  checkBoolean('delayed', delayed);
  if (queue === INTERNAL_QUEUE)
    throw new InvalidOptionError('queue', 'a queue of tasks: this one holds what joins their runs', queue);
  await store.timeKnown();
  const now = time();
  const runs = new Set<string>();
  let removed = 0;
  const purge = async (id: string): Promise<boolean> => {
    const job = await store.job(queue, id);
    if (job === undefined) return true;
    const run = runOf(job);
    if (run === undefined) {
      if (await store.remove(queue, id)) removed += 1;
      return true;
    }
    if (runs.has(run)) return false;
    runs.add(run);
    const top = await store.topOf({ queue, id });
    await store.revoke(top.queue, top.id, { now });
    return false;
  };
  for (const state of ['wait', 'prioritized', ...(delayed ? (['delayed'] as const) : [])] as const) {
    const limit = await store.on(queue, (bull) => bull.getJobCountByTypes(state));
    // Steps stay where they are, and what is removed makes room for what follows. What is added meanwhile is not meant.
    let kept = 0;
    for (let seen = 0; seen < limit; ) {
      const most = Math.min(TOGETHER, limit - seen);
      const ids = await store.on(queue, (bull) => bull.getRanges([state], kept, kept + most - 1, true));
      if (ids.length === 0) break;
      const gone = await Promise.all(ids.map(purge));
      kept += gone.filter((isGone) => !isGone).length;
      seen += ids.length;
    }
  }
  return { removed, revokedRuns: runs.size };
}

/** The run that a job is a step of: what waits for the job would wait for ever if it were gone. */
function runOf({ envelope }: StoredJob): string | undefined {
  return envelope?.alone ? undefined : envelope?.run;
}
