/** The queues of an app: their names, their handles and their stored settings. */

import type { WorkerQuery } from '../control/ask.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { type QueueHandle, queueHandle, setConcurrency, setRateLimit } from '../store/queues.js';
import type { Store } from '../store/store.js';
import type { Registry } from '../task/definition.js';
import { checkQueue } from '../task/option-checks.js';
import type { Router } from '../task/routing.js';

export interface AppQueuesDependencies {
  readonly router: Router;
  readonly registry: Registry;
  readonly store: Store;
  readonly workerQuery: WorkerQuery;
  readonly now: () => number;
}

export class Queues {
  readonly #dependencies: AppQueuesDependencies;
  readonly #learned = new Set<string>();

  constructor(dependencies: AppQueuesDependencies) {
    this.#dependencies = dependencies;
  }

  /** Adds queues that the code does not name: a program without the app's code reads them from the store. */
  learn(names: Iterable<string>): void {
    for (const name of names) this.#learned.add(checkQueue('queue', name));
  }

  /** Returns the queues of the app's options, tasks and routes, and the learned ones. */
  ofTasks(): string[] {
    const { router, registry } = this.#dependencies;
    const all = router.all(registry.queues());
    return this.#learned.size === 0 ? all : [...new Set([...all, ...this.#learned])];
  }

  /** Calls `listener` when a task adds a queue; returns a function that stops it. */
  onAdded(listener: () => void): () => void {
    return this.#dependencies.registry.onQueue(listener);
  }

  /** Returns the queues of `ofTasks`, and Umbel's internal queue. */
  known(): string[] {
    return [...this.ofTasks(), INTERNAL_QUEUE];
  }

  /** Returns the known queues, and those that workers serve, which other programs may have declared. */
  async served(): Promise<string[]> {
    return [...new Set([...this.known(), ...(await this.#dependencies.workerQuery.servedQueues())])];
  }

  /** Returns the default queues of a worker: those of tasks with a handler. */
  ofHandlers(): string[] {
    const { router, registry } = this.#dependencies;
    return router.queuesFor(registry.handledTasks().map(({ name, options: { queue } }) => ({ name, queue })));
  }

  /** Returns the handle of a queue. @throws {UnknownQueueError} if the app does not know it. */
  handle(name: string): QueueHandle {
    const { router, registry, store, now } = this.#dependencies;
    if (!this.known().includes(name)) router.check(name, registry.queues());
    return queueHandle(store, name, now);
  }

  /** Returns the handle of a queue, also of one that only a worker knows. @throws {UnknownQueueError} */
  async servedHandle(name: string): Promise<QueueHandle> {
    const { store, workerQuery, now } = this.#dependencies;
    checkQueue('queue', name);
    if (!this.known().includes(name) && (await workerQuery.servedQueues()).includes(name))
      return queueHandle(store, name, now);
    return this.handle(name);
  }

  /** @throws {UnknownQueueError} if the app does not know the queue. */
  check(name: string): void {
    this.handle(checkQueue('queue', name));
  }

  /** Stores the concurrency and the rate limit of a queue from the app's options. */
  async prepare(name: string): Promise<void> {
    const { router, store } = this.#dependencies;
    const { concurrency, rateLimit } = router.settingsOf(name) ?? {};
    if (concurrency !== undefined) await setConcurrency(store, name, concurrency);
    if (rateLimit !== undefined) await setRateLimit(store, name, rateLimit);
  }
}
