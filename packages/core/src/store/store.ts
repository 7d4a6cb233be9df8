import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { StoreAccess, type StoreOptions } from './access.js';
import type { NewJob } from './add.js';
import type { ServerFacts } from './engine/engine.js';
import { refuseClosed } from './queue-pool.js';
import type { JobOutcome } from './results.js';
import type { Resumable } from './resume.js';
import { type JobWait, Watcher } from './watcher.js';

export type { JobOutcome, NewJob, StoreOptions };

/**
 * The store of an app, on the sending side. Connects at first use. Functions of the modules beside this one take it as
 * their access: `add.ts`, `read.ts`, `results.ts`, `revoke.ts` and others.
 */
export class Store extends StoreAccess {
  readonly #options: StoreOptions;
  readonly #watchers = new Map<string, Watcher>();

  constructor(options: StoreOptions) {
    super(options);
    this.#options = options;
  }

  /** Aborted when this store is closed; waits end then. */
  get closed(): AbortSignal {
    return this.backends.closed;
  }

  /**
   * Returns whether a command of this store has thrown the error because the store is unreachable. Also true for calls of
   * the app in a handler; never for errors that only have such a message, such as errors of another client.
   */
  isOutage(error: unknown): boolean {
    return error instanceof Error && this.#options.outages.has(error);
  }

  /** Reads facts about the store's server; undefined for a store that reports none. */
  facts(): Promise<ServerFacts | undefined> {
    return this.reach(() => this.backends.facts());
  }

  get isTimeKnown(): boolean {
    return this.#options.time.isKnown;
  }

  /**
   * Settles once the time of the store is known, which all times in stored data are based on; undefined if it is known.
   * Only the first command of a process waits for it, and the first one after its clock was set.
   */
  timeKnown(timeoutMs?: number): Promise<void> | undefined {
    if (this.isTimeKnown) return undefined;
    return this.reach(() => this.backends.timeKnown(), timeoutMs);
  }

  /** Returns whether the store answers within a time. */
  async isReached(timeoutMs: number): Promise<boolean> {
    try {
      await this.on(INTERNAL_QUEUE, (bull) => bull.getBackend().getQueueMetaField('version'), timeoutMs);
      return true;
    } catch {
      return false; // for any reason: no job can be read now
    }
  }

  /** Returns an input in stored form. */
  sealedInput({ id, task }: Pick<Resumable, 'id' | 'task'>, input: unknown): Promise<unknown> {
    return this.sealer.encode(input, { subject: 'input', id, task });
  }

  /** Notifies `who` of the job's progress until it has ended; never misses its end. Returns a function that stops it. */
  wait(queue: string, id: string, who: JobWait): () => void {
    return this.#watcher(queue).wait(id, who);
  }

  /** Calls `listener` when the job reports progress or ends; events may be missed. Returns a function that stops it. */
  watch(queue: string, id: string, listener: () => void): () => void {
    return this.#watcher(queue).on(id, listener);
  }

  /** Calls `listener` like `watch`, for every job of a queue below a job of a run. */
  watchBelow(queue: string, id: string, listener: () => void): () => void {
    return this.#watcher(queue).onBelow(id, listener);
  }

  /** @throws {ClosedError} once it is closed. */
  checkOpen(): void {
    refuseClosed(this.#options);
  }

  /** Closes every connection permanently, and ends pending waits. */
  async close(): Promise<void> {
    await Promise.all([this.backends.close(), this.#endWatchers()]);
  }

  /** Closes every connection; the next use opens new ones. */
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
