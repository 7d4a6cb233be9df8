/** Looks, now and then, for what has to be repaired: one of all workers of an app at a time. */
import { INTERNAL_QUEUE } from '../flow/node.js';
import { added, NOTHING_REPAIRED, type RepairCounts, type RepairOptions, repairQueue } from './repair.js';
import type { Store } from './store.js';
import { TAG_QUEUE } from './tags-by-day.js';

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
      if (await this.#isDue(queue)) counts = added(counts, await this.#look(queue));
    }
    if (this.#timer !== undefined && (await this.#isDue(TAG_QUEUE))) await this.#options.cleanTags();
    this.#total = added(this.#total, counts);
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
      counts = added(counts, page.counts);
    }
  }
  return counts;
}
