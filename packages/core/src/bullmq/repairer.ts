/** Looks, now and then, for what has to be repaired: one of all workers of an app at a time. */
import { INTERNAL_QUEUE } from '../flow/node.js';
import { added, NOTHING_REPAIRED, type RepairCounts, repairQueue } from './repair.js';
import type { Store } from './store.js';

/** Waiting parents of each queue that are looked at in one pass; the next pass goes on behind them. */
const PARENTS = 100;

/** A sender stores a long run within a moment, but for outages. */
const GRACE_MS = 60_000;

/** In the meta data of a queue: when it was looked at last. */
const LOOKED_AT = 'umbel:repair';

export interface RepairerOptions {
  readonly store: Store;
  readonly queues: () => readonly string[];
  readonly intervalMs: number;
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
    this.#total = added(this.#total, counts);
    if (counts.started + counts.lost + counts.ended > 0) onRepaired(counts);
  }

  /** Whether nobody else has looked at a queue lately; notes that this one does. */
  async #isDue(queue: string): Promise<boolean> {
    const { store, intervalMs } = this.#options;
    const now = Date.now();
    const lookedAt = await store.on(queue, (bull) => bull.getBackend().getQueueMetaField(LOOKED_AT));
    if (now - Number(lookedAt ?? 0) < intervalMs / 2) return false;
    await store.on(queue, (bull) => bull.getBackend().setQueueMeta({ [LOOKED_AT]: now }));
    return true;
  }

  async #look(queue: string): Promise<RepairCounts> {
    const offset = this.#offsets.get(queue) ?? 0;
    const counts = await repairQueue(this.#options.store, queue, offset, PARENTS, { graceMs: GRACE_MS });
    this.#offsets.set(queue, counts.checked < PARENTS ? 0 : offset + PARENTS);
    return counts;
  }
}

/** Looks at every waiting parent of these queues. A dry run changes nothing, and counts what would be done. */
export async function repairAll(
  store: Store,
  queues: readonly string[],
  isDryRun = false,
): Promise<RepairCounts> {
  let counts = NOTHING_REPAIRED;
  for (const queue of new Set([...queues, INTERNAL_QUEUE])) {
    for (let offset = 0; ; offset += PARENTS) {
      const page = await repairQueue(store, queue, offset, PARENTS, { isDryRun });
      counts = added(counts, page);
      if (page.checked < PARENTS) break;
    }
  }
  return counts;
}
