import { endBackend } from './closing.js';
import { type Events, eventsOf } from './events.js';
import type { StoreOptions } from './store-access.js';

/** Tells, for one queue, when a job has ended or reported its progress. One subscription, however many jobs are watched. */
export class Watcher {
  readonly #events: Events;
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #below = new Map<() => void, string>();

  constructor(queue: string, options: StoreOptions) {
    this.#events = eventsOf(queue, options);
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

  /** Calls `listener` when a job ends whose id begins with this one; gives a function that stops it. */
  onBelow(id: string, listener: () => void): () => void {
    this.#below.set(listener, `${id}.`);
    return () => this.#below.delete(listener);
  }

  async close(): Promise<void> {
    await endBackend(this.#events.getBackend(), this.#events.close());
  }

  #notify(jobId: string): void {
    for (const listener of this.#listeners.get(jobId) ?? []) listener();
    for (const [listener, start] of this.#below) if (jobId.startsWith(start)) listener();
  }
}
