import { type IQueueBackend, QueueEvents } from 'bullmq';
import type { StoreOptions } from './store.js';

/** Tells, for one queue, when a job has ended or reported its progress. One subscription, however many jobs are watched. */
export class Watcher {
  readonly #events: QueueEvents<unknown, IQueueBackend>;
  readonly #listeners = new Map<string, Set<() => void>>();

  constructor(queue: string, { connection, prefix, onError }: StoreOptions) {
    this.#events = new QueueEvents(queue, { connection: connection.options, prefix }, connection.factory);
    this.#events.on('error', onError);
    this.#events.on('completed', ({ jobId }) => this.#notify(jobId));
    this.#events.on('failed', ({ jobId }) => this.#notify(jobId));
    this.#events.on('progress', ({ jobId }) => this.#notify(jobId));
  }

  /** Calls `listener` when the job ends, once at least; gives a function that stops it. Events may be missed. */
  on(jobId: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(jobId) ?? new Set();
    this.#listeners.set(jobId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(jobId);
    };
  }

  async close(): Promise<void> {
    await this.#events.close();
  }

  #notify(jobId: string): void {
    for (const listener of this.#listeners.get(jobId) ?? []) listener();
  }
}
