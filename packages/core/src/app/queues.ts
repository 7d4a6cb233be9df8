/** The queues of an app: which there are, and handles of them. */

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
  readonly asking: WorkerQuery;
  readonly now: () => number;
}

export class Queues {
  readonly #dependencies: AppQueuesDependencies;
  readonly #learnt = new Set<string>();

  constructor(dependencies: AppQueuesDependencies) {
    this.#dependencies = dependencies;
  }

  /** Takes queues for those of the app, which its code does not name: an app without its code learns them of the store. */
  learn(names: Iterable<string>): void {
    for (const name of names) this.#learnt.add(checkQueue('queue', name));
  }

  /** Those that the app's options, tasks and routes name, or that it has learnt. */
  ofTasks(): string[] {
    const { router, registry } = this.#dependencies;
    const all = router.all(registry.queues());
    return this.#learnt.size === 0 ? all : [...new Set([...all, ...this.#learnt])];
  }

  /** Calls `listener` when a task names another one. Returns a function that stops it. */
  onAdded(listener: () => void): () => void {
    return this.#dependencies.registry.onQueue(listener);
  }

  /** And Umbel's own. */
  known(): string[] {
    return [...this.ofTasks(), INTERNAL_QUEUE];
  }

  /** And those that workers serve, which other programs may have declared. */
  async served(): Promise<string[]> {
    return [...new Set([...this.known(), ...(await this.#dependencies.asking.servedQueues())])];
  }

  /** Those that a worker serves that is not told which. */
  ofHandlers(): string[] {
    const { router, registry } = this.#dependencies;
    return router.queuesFor(registry.handledTasks().map(({ name, options: { queue } }) => ({ name, queue })));
  }

  /** @throws {UnknownQueueError} if there is none of that name. */
  handle(name: string): QueueHandle {
    const { router, registry, store, now } = this.#dependencies;
    if (!this.known().includes(name)) router.check(name, registry.queues());
    return queueHandle(store, name, now);
  }

  /** Also of a queue that only a worker knows. @throws {UnknownQueueError} if no worker does. */
  async servedHandle(name: string): Promise<QueueHandle> {
    const { store, asking, now } = this.#dependencies;
    checkQueue('queue', name);
    if (!this.known().includes(name) && (await asking.servedQueues()).includes(name))
      return queueHandle(store, name, now);
    return this.handle(name);
  }

  /** @throws {UnknownQueueError} if tasks have none of that name. */
  check(name: string): void {
    this.handle(checkQueue('queue', name));
  }

  /** Applies what the app's options say of a queue as a whole. */
  async prepare(name: string): Promise<void> {
    const { router, store } = this.#dependencies;
    const { concurrency, rateLimit } = router.settingsOf(name) ?? {};
    if (concurrency !== undefined) await setConcurrency(store, name, concurrency);
    if (rateLimit !== undefined) await setRateLimit(store, name, rateLimit);
  }
}
