import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { StoreAccess, type StoreOptions } from './access.js';
import type { NewJob } from './add.js';
import type { ServerFacts } from './connection.js';
import { refuseClosed } from './queue-pool.js';
import type { JobOutcome } from './results.js';
import type { Resumable } from './resume.js';
import { type JobWait, Watcher } from './watcher.js';

export type { JobOutcome, NewJob, StoreOptions };

/**
 * Where jobs are stored, seen from the sending side. Connects at first use. The work is in `adding.ts`, `reading.ts`,
 * `results.ts` and `changing.ts`.
 */
export class Store extends StoreAccess {
  readonly #options: StoreOptions;
  readonly #watchers = new Map<string, Watcher>();

  constructor(options: StoreOptions) {
    super(options);
    this.#options = options;
  }

  /** Aborted when this store is closed; what is waited for does not come then. */
  get closed(): AbortSignal {
    return this.backends.closed;
  }

  /**
   * Whether a command of this store has thrown the error because the store is away. True for what the app's own calls in
   * a handler throw as well; never for what says so in words only, such as an error of another client.
   */
  isOutage(error: unknown): boolean {
    return error instanceof Error && this.#options.outages.has(error);
  }

  /** What the store tells of itself; undefined if it does not. */
  facts(): Promise<ServerFacts | undefined> {
    return this.reach(() => this.backends.facts());
  }

  get isTimeKnown(): boolean {
    return this.#options.time.isKnown;
  }

  /**
   * Settles once the time of the store is known, by which everything is computed that others are to understand; undefined
   * if it is known. Only the first command of a process has to wait for it, or the first after its clock was set.
   */
  timeKnown(timeoutMs?: number): Promise<void> | undefined {
    if (this.isTimeKnown) return undefined;
    return this.reach(() => this.backends.timeKnown(), timeoutMs);
  }

  /** Whether the store answers, within a time. */
  async isReached(timeoutMs: number): Promise<boolean> {
    try {
      await this.on(INTERNAL_QUEUE, (bull) => bull.getBackend().getQueueMetaField('version'), timeoutMs);
      return true;
    } catch {
      return false; // whatever the reason, no job is to be had of it
    }
  }

  /** An input as it is stored with its job. */
  sealedInput({ id, task }: Pick<Resumable, 'id' | 'task'>, input: unknown): Promise<unknown> {
    return this.sealer.seal(input, { subject: 'input', id, task });
  }

  /** Tells `who` how the job comes on, until it has ended; no end is missed. Gives a function that stops it. */
  wait(queue: string, id: string, who: JobWait): () => void {
    return this.#watcher(queue).wait(id, who);
  }

  /** Calls `listener` when the job reports or ends, as a hint: events may be missed. Gives a function that stops it. */
  watch(queue: string, id: string, listener: () => void): () => void {
    return this.#watcher(queue).on(id, listener);
  }

  /** The same for every job in a queue that stands below a job of a run. */
  watchBelow(queue: string, id: string, listener: () => void): () => void {
    return this.#watcher(queue).onBelow(id, listener);
  }

  /** @throws {ClosedError} once it is closed. */
  checkOpen(): void {
    refuseClosed(this.#options);
  }

  /** Closes every connection, for good, and ends what waits for them. */
  async close(): Promise<void> {
    await Promise.all([this.backends.close(), this.#endWatchers()]);
  }

  /** The same, but the next use opens new ones. */
  async disconnect(): Promise<void> {
    await Promise.all([this.backends.disconnect(), this.#endWatchers()]);
  }

  async #endWatchers(): Promise<void> {
    const watchers = [...this.#watchers.values()];
    this.#watchers.clear();
    await Promise.all(watchers.map((watcher) => watcher.close()));
  }

  #watcher(queue: string): Watcher {
    let watcher = this.#watchers.get(queue);
    if (watcher === undefined) {
      watcher = new Watcher(queue, this, this.#options);
      this.#watchers.set(queue, watcher);
    }
    return watcher;
  }
}
