/**
 * What should be impossible, found and put right.
 *
 * W25: a parent that waits for nothing, or for a child that is gone or has ended. It cannot come from Umbel or BullMQ
 * alone; it can from a record that was removed or evicted, from a flow that another version stored in part, or from a
 * store that has lost some of what it had acknowledged. Such a parent would wait for ever.
 */

import { clearTimeout, setTimeout } from '../base/real-timers.js';
import { brokenData, isEnvelope } from '../job/envelope.js';
import { pathOf } from '../job/ids.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { wakingProbe } from '../workflow/join.js';
import { addBelow, addChildren } from './add.js';
import { childCounts } from './read.js';
import { detach } from './revoke.js';
import type { Store } from './store.js';
import { TAG_QUEUE } from './tags.js';
import { type ChildPlace, childrenOf, ifBroken } from './tree.js';

/** What a repair has done, in numbers of jobs. */
export interface RepairCounts {
  /** Waiting parents that were looked at. */
  readonly checked: number;
  /** Parents that waited for nothing, and were started. */
  readonly started: number;
  /** Children that were gone from the store, and now count as failed. */
  readonly lost: number;
  /** Children that had ended, and that their parents still waited for. */
  readonly ended: number;
}

export const NOTHING_REPAIRED: RepairCounts = { checked: 0, started: 0, lost: 0, ended: 0 };

export function addCounts(a: RepairCounts, b: RepairCounts): RepairCounts {
  return {
    checked: a.checked + b.checked,
    started: a.started + b.started,
    lost: a.lost + b.lost,
    ended: a.ended + b.ended,
  };
}

export interface RepairOptions {
  /** Changes nothing, and counts what would be done. */
  readonly isDryRun?: boolean;
  /** Parents without a child that were added at this moment or later are left alone: they may get theirs. */
  readonly addedBefore?: number;
}

/** What a repair has done to some parents. */
export interface RepairedPage {
  readonly counts: RepairCounts;
  /** Waiting jobs that the store listed, also those of other programs: fewer than were asked for at the end only. */
  readonly listed: number;
}

/** Children of a parent that are looked at in one pass. */
const CHILDREN = 20;

/** Looks at `limit` parents of a queue that wait, from the `offset`-th on, those that have waited longest first. */
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
  if (job === undefined || !isEnvelope(job.data)) return NOTHING_REPAIRED; // of another program
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
      if (!isDryRun) await putBackAsLost(store, parent, child);
      lost += 1;
    }
    const isOver = state === 'completed' || state === 'failed';
    if (isOver && (await isPending(store, parent, child))) {
      if (!isDryRun) await settle(store, parent, child, state, job.data.run);
      ended += 1;
    }
    seen += 1;
    if (seen === CHILDREN) break;
  }
  return { ...checked, lost, ended };
}

/** Whether a parent still waits for a child. One that ends is taken off in the same command, so what ended before is not. */
async function isPending(store: Store, parent: JobRef, child: ChildPlace): Promise<boolean> {
  for await (const { queue, id } of childrenOf(store, parent, ['unprocessed']))
    if (queue === child.queue && id === child.id) return true;
  return false;
}

/** Starts a parent that waits, by a child that fails at once. False if it has started by itself. */
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

/** Puts a job in the place of one that is gone, which its worker fails: so its parent has a failure to go on with. */
async function putBackAsLost(store: Store, parent: JobRef, { queue, id }: ChildPlace): Promise<void> {
  await addBelow(store, parent, { queue, id }, 'unknown', brokenData('its record is gone from the store'));
}

/** Tells a parent of a child that has ended. */
async function settle(
  store: Store,
  parent: JobRef,
  child: ChildPlace,
  state: 'completed' | 'failed',
  run: string | undefined,
): Promise<void> {
  // Adding a job again that has completed hands its result to its parent.
  if (state === 'completed') await addBelow(store, parent, child, 'unknown', {});
  await detach(store, parent, child);
  if (state === 'failed') await start(store, parent, run);
}

// Looks, now and then, for what has to be repaired: one of all workers of an app at a time.

/** Waiting parents of each queue that are looked at in one pass; the next pass goes on behind them. */
const PARENTS = 100;

/** A sender stores a long run within a moment, but for outages. */
const GRACE_MS = 60_000;

/** The times of two processes may differ by so much, see `StoreTime`. */
const MAX_AHEAD_MS = 2000;

/** In the meta data of a queue: when it was looked at last. */
const LOOKED_AT = 'umbel:repair';

export interface RepairerOptions {
  readonly store: Store;
  readonly queues: () => readonly string[];
  readonly intervalMs: number;
  /** The time of the store, as the records of all workers are by it. */
  readonly now: () => number;
  /** Takes away what is noted of jobs that are gone. */
  readonly cleanTags: () => Promise<void>;
  /** Is told of each pass that has repaired something. */
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

  /** What was repaired since this was made. */
  get total(): RepairCounts {
    return this.#total;
  }

  start(): void {
    // Not all at the same time, when workers are started together.
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
      if (await this.#isDue(queue)) counts = addCounts(counts, await this.#look(queue));
    }
    if (this.#timer !== undefined && (await this.#isDue(TAG_QUEUE))) await this.#options.cleanTags();
    this.#total = addCounts(this.#total, counts);
    if (counts.started + counts.lost + counts.ended > 0) onRepaired(counts);
  }

  /** Whether nobody else has looked at a queue lately; notes that this one does. */
  async #isDue(queue: string): Promise<boolean> {
    const { store, intervalMs, now: time } = this.#options;
    const stored = await store.on(queue, (bull) => bull.getBackend().getQueueMetaField(LOOKED_AT));
    const now = time();
    // A moment that has not come was noted by a clock that was wrong: it says nothing.
    const sinceMs = now - Number(stored ?? 0);
    if (sinceMs < intervalMs / 2 && sinceMs >= -MAX_AHEAD_MS) return false;
    await store.on(queue, (bull) => bull.getBackend().setQueueMeta({ [LOOKED_AT]: now }));
    return true;
  }

  async #look(queue: string): Promise<RepairCounts> {
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
 * Looks at every waiting parent of these queues. A dry run changes nothing, and counts what would be done.
 *
 * From the last page to the first: a parent that goes on meanwhile moves those behind it up, which have been looked at.
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
