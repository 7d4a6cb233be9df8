/**
 * This module removes the jobs of a queue that have not started, in slices: each slice takes the store a few
 * milliseconds, and the total cost depends on the number of jobs to remove. `app.control` uses it.
 *
 * The slice itself removes single calls (`primitives/purge.ts`). Jobs with a parent or children are handled one by one:
 * a step stays and its run is revoked; any other job is removed with the jobs below it.
 */

import type { IQueueBackend } from 'bullmq';
import { InvalidOptionError } from '../base/errors.js';
import { checkBoolean, checkOptions, type OptionNames } from '../base/option-checks.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { PURGED_AT_ONCE } from './engine/commands.js';
import {
  type LeftJob,
  type PurgedSet,
  type PurgePrimitive,
  type PurgeRequest,
  type PurgeSlice,
  type PurgeStart,
  purgeIn,
} from './primitives/purge.js';
import { readJob, storedStateOf, topOf } from './read.js';
import { removeJob, revokeJob } from './revoke.js';
import type { Store } from './store.js';
import type { StoredJob } from './stored-job.js';

/** Options of `purge` of a queue. */
export interface PurgeOptions {
  /** Whether to remove delayed jobs too: those that wait for their countdown or for another attempt. Default false. */
  delayed?: boolean | undefined;
  /** Called with the progress of the purge after every few hundred jobs. An error that it throws ends the purge. */
  onProgress?: ((progress: PurgeProgress) => void) | undefined;
}

/** Result of a purge. */
export interface PurgeCounts {
  /** Number of jobs that were removed from the store. */
  readonly removed: number;
  /** Number of runs that were revoked because their steps waited in the queue. */
  readonly revokedRuns: number;
}

/** Progress of a purge. */
export interface PurgeProgress extends PurgeCounts {
  /** Number of jobs that were processed: removed jobs and steps. */
  readonly done: number;
  /** Number of jobs at the start. Workers may start some of them before the purge reaches them. */
  readonly total: number;
}

const PURGE: OptionNames<PurgeOptions> = { delayed: true, onProgress: true };

/** Number of jobs with relatives that are handled concurrently. */
const TOGETHER = 50;
/** Maximum difference between the clocks of senders; larger ones are corrected (`store-time.ts`). */
const CLOCKS_DIFFER_MS = 2000;

/** Purges a queue. @throws {InvalidOptionError} for a wrong option, or the internal queue. */
export async function purgeQueue(
  store: Store,
  queue: string,
  options: PurgeOptions,
  time: () => number,
): Promise<PurgeCounts> {
  const { delayed = false, onProgress } = checkOptions(options, PURGE);
  checkBoolean('delayed', delayed);
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw new InvalidOptionError('onProgress', 'a function', onProgress);
  if (queue === INTERNAL_QUEUE)
    throw new InvalidOptionError('queue', "a queue of tasks: this one holds Umbel's internal jobs", queue);
  await store.timeKnown();
  return new Purge(store, queue, time(), onProgress).run([
    'wait',
    'prioritized',
    ...(delayed ? (['delayed'] as const) : []),
  ]);
}

class Purge {
  readonly #store: Store;
  readonly #queue: string;
  readonly #now: number;
  readonly #onProgress: ((progress: PurgeProgress) => void) | undefined;
  readonly #runs = new Set<string>();
  #removed = 0;
  #done = 0;
  #total = 0;

  constructor(
    store: Store,
    queue: string,
    now: number,
    onProgress: ((progress: PurgeProgress) => void) | undefined,
  ) {
    this.#store = store;
    this.#queue = queue;
    this.#now = now;
    this.#onProgress = onProgress;
  }

  async run(sets: readonly PurgedSet[]): Promise<PurgeCounts> {
    const starts: [PurgedSet, PurgeStart][] = [];
    for (const set of sets) starts.push([set, await this.#on((purge) => purge.purgeStart(set))]);
    this.#total = starts.reduce((sum, [, { count }]) => sum + count, 0);
    for (const [set, start] of starts) await this.#purge(set, start);
    return this.#counts();
  }

  async #purge(set: PurgedSet, { count, cursor, isMoved }: PurgeStart): Promise<void> {
    const sentBy = this.#now + CLOCKS_DIFFER_MS;
    let next: string | undefined = cursor;
    let settled: readonly string[] = [];
    let removable: string[] = [];
    for (let seen = 0; settled.length > 0 || (next !== undefined && seen < count); ) {
      const limit: number = next === undefined ? 0 : Math.min(PURGED_AT_ONCE, count - seen);
      const request: PurgeRequest = { cursor: next ?? cursor, limit, settled, sentBy };
      const slice: PurgeSlice = await this.#on((purge) => purge.purgeSlice(set, request));
      await this.#remove(removable);
      removable = await this.#settle(slice.left);
      settled = slice.left.map(({ id }) => id);
      // In a list, wait until the next slice has moved them to the end where BullMQ's removal starts its search.
      if (!isMoved) await this.#remove(removable.splice(0));
      seen += slice.seen;
      next = limit === 0 ? undefined : slice.next;
      this.#removed += slice.removed;
      this.#done += slice.seen;
      this.#onProgress?.({ ...this.#counts(), done: Math.min(this.#done, this.#total), total: this.#total });
    }
    await this.#remove(removable);
  }

  /** Revokes the runs of the steps among these jobs. Returns the ids of the other jobs. */
  async #settle(left: readonly LeftJob[]): Promise<string[]> {
    const removable: string[] = [];
    for (let start = 0; start < left.length; start += TOGETHER) {
      const some = left.slice(start, start + TOGETHER);
      await Promise.all(
        some.map(async ({ id, run }) => {
          const runId = run === '' ? runOf(await readJob(this.#store, { queue: this.#queue, id })) : run;
          if (runId === undefined) removable.push(id);
          else await this.#revoke(runId, id);
        }),
      );
    }
    return removable;
  }

  async #revoke(run: string, step: string): Promise<void> {
    if (this.#runs.has(run)) return;
    this.#runs.add(run);
    const top = await topOf(this.#store, { queue: this.#queue, id: step });
    await revokeJob(this.#store, top, { now: this.#now });
  }

  async #remove(ids: readonly string[]): Promise<void> {
    for (let start = 0; start < ids.length; start += TOGETHER) {
      const some = ids.slice(start, start + TOGETHER);
      const isRemoved = await Promise.all(some.map((id) => this.#removeWaiting(id)));
      this.#removed += isRemoved.filter(Boolean).length;
    }
  }

  /** Removes a job if it still waits: a worker may have started or even finished it. */
  async #removeWaiting(id: string): Promise<boolean> {
    const state = await storedStateOf(this.#store, { queue: this.#queue, id });
    const isWaiting = state === 'waiting' || state === 'prioritized' || state === 'delayed';
    return isWaiting && removeJob(this.#store, { queue: this.#queue, id });
  }

  #on<T>(command: (purge: PurgePrimitive) => Promise<T>): Promise<T> {
    return this.#store.on(this.#queue, (bull) => command(purgeOf(bull.getBackend())));
  }

  #counts(): PurgeCounts {
    return { removed: this.#removed, revokedRuns: this.#runs.size };
  }
}

/** Returns the run that a job is a step of. Removing such a job would make its parent wait forever. */
function runOf(job: StoredJob | undefined): string | undefined {
  const { envelope } = job ?? {};
  return envelope?.alone ? undefined : envelope?.run;
}

function purgeOf(backend: IQueueBackend): PurgePrimitive {
  return purgeIn(backend) ?? new ContractPurge(backend);
}

/** Implementation without scripts: a slice only lists jobs by index, and all of them are handled one by one. */
class ContractPurge implements PurgePrimitive {
  readonly #backend: IQueueBackend;

  constructor(backend: IQueueBackend) {
    this.#backend = backend;
  }

  async purgeStart(set: PurgedSet): Promise<PurgeStart> {
    const [count = 0] = await this.#backend.getCounts([set]);
    return { count, cursor: '0', isMoved: false };
  }

  async purgeSlice(set: PurgedSet, { cursor, limit, settled }: PurgeRequest): Promise<PurgeSlice> {
    // Skip the jobs of the last slice that still exist; the index of later jobs has moved down by the removed ones.
    let kept = Number(cursor);
    const before = (await this.#backend.getRanges([set], kept, kept + settled.length - 1, true)).flat();
    kept += settled.length === 0 ? 0 : before.filter((id) => settled.includes(id)).length;
    const ids =
      limit === 0 ? [] : (await this.#backend.getRanges([set], kept, kept + limit - 1, true)).flat();
    const left = ids.map((id) => ({ id, run: '' }));
    return { removed: 0, seen: ids.length, left, ...(ids.length > 0 && { next: String(kept) }) };
  }
}
