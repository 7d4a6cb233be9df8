/**
 * This module finds and repairs inconsistent jobs. Workers run it periodically, and `app.control` on request.
 *
 * W25: a parent waits for nothing, or for a child that is missing or has ended, and would wait forever. Umbel and BullMQ
 * alone never cause that. A removed or evicted record can, or a flow that another version stored in part, or a store that
 * lost acknowledged writes.
 */

import { clearTimeout, setTimeout } from '../base/real-timers.js';
import { brokenData, isEnvelope } from '../job/envelope.js';
import { pathOf } from '../job/ids.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { wakingProbe } from '../workflow/join.js';
import { addBelow, addChildren } from './add.js';
import { TAG_QUEUE } from './engine/commands.js';
import { SIGNAL_QUEUE } from './primitives/signals.js';
import { childCounts } from './read.js';
import { detach } from './revoke.js';
import type { Store } from './store.js';
import { type ChildPlace, childrenOf, ifBroken } from './tree.js';

/** Result of a repair, in numbers of jobs. */
export interface RepairCounts {
  /** Waiting parents that were checked. */
  readonly checked: number;
  /** Parents that waited for nothing, and jobs whose signal was there, which were started. */
  readonly started: number;
  /** Children that were missing from the store and now count as failed. */
  readonly lost: number;
  /** Ended children that their parents still waited for. */
  readonly ended: number;
}

export const NOTHING_REPAIRED: RepairCounts = { checked: 0, started: 0, lost: 0, ended: 0 };

function addCounts(a: RepairCounts, b: RepairCounts): RepairCounts {
  return {
    checked: a.checked + b.checked,
    started: a.started + b.started,
    lost: a.lost + b.lost,
    ended: a.ended + b.ended,
  };
}

export interface RepairOptions {
  /** Whether to change nothing and only count. */
  readonly isDryRun?: boolean;
  /** Parents without children that were added at this time or later are skipped: their children may still be added. */
  readonly addedBefore?: number;
}

/** Result of the repair of a page of parents. */
export interface RepairedPage {
  readonly counts: RepairCounts;
  /** Number of waiting jobs that the store listed, those of other programs included; less than the limit only at the end. */
  readonly listed: number;
}

/** Maximum number of children of a parent that one pass checks. */
const CHILDREN = 20;

/** Checks and repairs up to `limit` waiting parents of a queue from `offset` on, the oldest first. */
export async function repairQueue(
  store: Store,
  queue: string,
  offset: number,
  limit: number,
  options: RepairOptions = {},
): Promise<RepairedPage> {
  const ids: string[] = await store.on(queue, (bull) =>
    bull.getRanges(['waiting-children'], offset, offset + limit - 1, true),
  );
  let counts = NOTHING_REPAIRED;
  for (const id of ids) counts = addCounts(counts, await repairParent(store, { queue, id }, options));
  return { counts, listed: ids.length };
}

async function repairParent(
  store: Store,
  parent: JobRef,
  { isDryRun = false, addedBefore = Number.POSITIVE_INFINITY }: RepairOptions,
): Promise<RepairCounts> {
  const job = await store.on(parent.queue, (bull) => bull.getJob(parent.id).catch(ifBroken));
  if (job === undefined || !isEnvelope(job.data)) return NOTHING_REPAIRED; // a job of another program
  const checked = { ...NOTHING_REPAIRED, checked: 1 };
  const { unprocessed, processed, ignored } = await childCounts(store, parent);
  if (unprocessed === 0) {
    if (processed + ignored === 0 && job.timestamp >= addedBefore) return checked;
    const isStarted = isDryRun ? await isWaiting(store, parent) : await start(store, parent, job.data.run);
    return { ...checked, started: isStarted ? 1 : 0 };
  }
  let lost = 0;
  let ended = 0;
  let seen = 0;
  for await (const child of childrenOf(store, parent, ['unprocessed'])) {
    const state = await store.on(child.queue, (bull) => bull.getJobState(child.id));
    if (state === 'unknown' && (await isPending(store, parent, child))) {
      if (!isDryRun) await replaceMissing(store, parent, child);
      lost += 1;
    }
    const isOver = state === 'completed' || state === 'failed';
    if (isOver && (await isPending(store, parent, child))) {
      if (!isDryRun) await notifyParent(store, parent, child, state, job.data.run);
      ended += 1;
    }
    seen += 1;
    if (seen === CHILDREN) break;
  }
  return { ...checked, lost, ended };
}

/** Returns whether a parent still waits for a child. An ending child leaves the list of its parent in the same command. */
async function isPending(store: Store, parent: JobRef, child: ChildPlace): Promise<boolean> {
  for await (const { queue, id } of childrenOf(store, parent, ['unprocessed']))
    if (queue === child.queue && id === child.id) return true;
  return false;
}

/** Starts a waiting parent by a child that fails at once. Returns false if the parent has already started. */
async function start(store: Store, parent: JobRef, run: string | undefined): Promise<boolean> {
  if (!(await isWaiting(store, parent))) return false;
  const root = run ?? parent.id;
  const path = pathOf(root, parent.id);
  await addChildren(store, root, { path, queue: parent.queue }, [wakingProbe(path)]);
  return true;
}

async function isWaiting(store: Store, parent: JobRef): Promise<boolean> {
  return (await store.on(parent.queue, (bull) => bull.getJobState(parent.id))) === 'waiting-children';
}

/** Replaces a missing job with one that its worker fails, so that its parent continues with a failure. */
async function replaceMissing(store: Store, parent: JobRef, { queue, id }: ChildPlace): Promise<void> {
  await addBelow(store, parent, { queue, id }, 'unknown', brokenData('its record is gone from the store'));
}

/** Notifies a parent of an ended child. */
async function notifyParent(
  store: Store,
  parent: JobRef,
  child: ChildPlace,
  state: 'completed' | 'failed',
  run: string | undefined,
): Promise<void> {
  // Adding a completed job again passes its result to its parent.
  if (state === 'completed') await addBelow(store, parent, child, 'unknown', {});
  await detach(store, parent, child);
  if (state === 'failed') await start(store, parent, run);
}

// Periodic repair, by one worker of an app at a time.

/** Number of waiting parents of each queue that one pass checks; the next pass continues after them. */
const PARENTS = 100;

/** Time after which a run must be stored completely; without outages, storing takes a moment. */
const GRACE_MS = 60_000;

/** Maximum difference between the times of two processes, see `StoreTime`. */
const MAX_AHEAD_MS = 2000;

/** Field in the metadata of a queue: time of the last check. */
const CHECKED_AT = 'umbel:repair';

export interface RepairerOptions {
  readonly store: Store;
  readonly queues: () => readonly string[];
  readonly intervalMs: number;
  /** Returns the time of the store, which the records of all workers use. */
  readonly now: () => number;
  /** Removes notes of tags of missing jobs. */
  readonly cleanTags: () => Promise<void>;
  /** Checks the records of waits for signals, and starts jobs whose senders died. Returns the number of started jobs. */
  readonly checkWaits: () => Promise<number>;
  /** Called after each pass that has repaired something. */
  readonly onRepaired: (counts: RepairCounts) => void;
  readonly onError: (error: Error) => void;
}

export class Repairer {
  readonly #options: RepairerOptions;
  readonly #offsets = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #total: RepairCounts = NOTHING_REPAIRED;
  #running: Promise<void> | undefined;

  constructor(options: RepairerOptions) {
    this.#options = options;
  }

  /** Repairs since this object was created. */
  get total(): RepairCounts {
    return this.#total;
  }

  start(): void {
    // A random delay, so that workers that start together do not check at the same time.
    const waitMs = this.#options.intervalMs * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => {
      this.#running = this.#pass().catch((error: Error) => this.#options.onError(error));
      void this.#running.then(() => {
        if (this.#timer !== undefined) this.start();
      });
    }, waitMs);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running;
  }

  async #pass(): Promise<void> {
    const { store, queues, onRepaired } = this.#options;
    await store.facts(); // clocks drift
    let counts = NOTHING_REPAIRED;
    for (const queue of new Set([...queues(), INTERNAL_QUEUE])) {
      if (this.#timer === undefined) return;
      if (await this.#isDue(queue)) counts = addCounts(counts, await this.#repair(queue));
    }
    if (this.#timer !== undefined && (await this.#isDue(TAG_QUEUE))) await this.#options.cleanTags();
    if (this.#timer !== undefined && (await this.#isDue(SIGNAL_QUEUE))) {
      const started = await this.#options.checkWaits();
      counts = addCounts(counts, { ...NOTHING_REPAIRED, started });
    }
    this.#total = addCounts(this.#total, counts);
    if (counts.started + counts.lost + counts.ended > 0) onRepaired(counts);
  }

  /** Returns whether no other worker has checked a queue recently, and stores that this one does. */
  async #isDue(queue: string): Promise<boolean> {
    const { store, intervalMs, now: time } = this.#options;
    const stored = await store.on(queue, (bull) => bull.getBackend().getQueueMetaField(CHECKED_AT));
    const now = time();
    // A future time comes from a wrong clock: ignore it.
    const sinceMs = now - Number(stored ?? 0);
    if (sinceMs < intervalMs / 2 && sinceMs >= -MAX_AHEAD_MS) return false;
    await store.on(queue, (bull) => bull.getBackend().setQueueMeta({ [CHECKED_AT]: now }));
    return true;
  }

  async #repair(queue: string): Promise<RepairCounts> {
    const offset = this.#offsets.get(queue) ?? 0;
    const { store, now } = this.#options;
    const { counts, listed } = await repairQueue(store, queue, offset, PARENTS, {
      addedBefore: now() - GRACE_MS,
    });
    this.#offsets.set(queue, listed < PARENTS ? 0 : offset + PARENTS);
    return counts;
  }
}

/**
 * Checks and repairs every waiting parent of these queues. A dry run changes nothing and only counts.
 *
 * The order is from the last page to the first: a parent that continues in the meantime shifts only checked parents.
 */
export async function repairAll(
  store: Store,
  queues: readonly string[],
  options: RepairOptions = {},
): Promise<RepairCounts> {
  let counts = NOTHING_REPAIRED;
  for (const queue of new Set([...queues, INTERNAL_QUEUE])) {
    const waiting = await store.on(queue, (bull) => bull.getJobCountByTypes('waiting-children'));
    for (let end = waiting; end > 0; end -= PARENTS) {
      const offset = Math.max(0, end - PARENTS);
      const page = await repairQueue(store, queue, offset, end - offset, options);
      counts = addCounts(counts, page.counts);
    }
  }
  return counts;
}
