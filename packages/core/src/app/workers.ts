/** The workers of an app in this process. */
import { hostname } from 'node:os';
import { connectionFacts, isShared } from '../bullmq/connection.js';
import { registeredTasks } from '../control/registered.js';
import type { AppFacts } from '../control/worker-control.js';
import { listed } from '../errors/describe.js';
import { AbsentWorker } from '../running/processes/absent-worker.js';
import { createWorker } from '../running/processes/create-worker.js';
import type { ActivityListener } from '../running/worker/activity.js';
import type { AppWorker } from '../running/worker/app-worker.js';
import type { WorkerOptions } from '../running/worker/options.js';
import type { WorkerParts } from '../running/worker/parts.js';
import { QueueWorker } from '../running/worker/worker.js';
import type { AppParts } from './parts.js';

export class Workers {
  readonly #parts: AppParts;
  readonly #closeApp: () => Promise<void>;
  readonly #listeners = new Set<ActivityListener>();
  readonly #open = new Set<AppWorker>();

  /** @param closeApp Closes the app when its last worker has come to an end of its own. */
  constructor(parts: AppParts, closeApp: () => Promise<void>) {
    this.#parts = parts;
    this.#closeApp = closeApp;
  }

  /** Those that are not closed. */
  get open(): ReadonlySet<AppWorker> {
    return this.#open;
  }

  /** Tells a listener of the attempts of all of them; gives a function that stops it. */
  listen(listener: ActivityListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  make(options: WorkerOptions): AppWorker {
    const { connection } = this.#parts.storeOptions;
    const worker = createWorker(options, this.#workerParts(), isShared(connection));
    if (!(worker instanceof AbsentWorker)) this.#open.add(worker);
    return worker;
  }

  /** One in this process, whatever started it. */
  makeOwn(options: WorkerOptions): QueueWorker {
    const worker = new QueueWorker(options, this.#workerParts());
    this.#open.add(worker);
    return worker;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((worker) => worker.close()));
  }

  #workerParts(): WorkerParts {
    const { storeOptions, store, runtime, executor, queues, router, scheduling, telling } = this.#parts;
    const { keepCompletedMs, keepFailedMs } = this.#parts;
    return {
      store: storeOptions,
      jobs: store,
      clock: runtime.clock,
      facts: this.#facts(),
      executor,
      listeners: this.#listeners,
      defaultQueues: () => queues.ofHandlers(),
      checkQueue: (queue) => {
        router.checkDeclared(queue);
        const known = queues.ofTasks();
        if (known.includes(queue)) return;
        telling.warn(
          `a worker serves queue "${queue}", to which no task, route or option of this app leads (those do: ${listed(known)}). ` +
            'Correct the name, or list it in createApp({ queues })',
        );
      },
      prepareQueue: (queue) => queues.prepare(queue),
      syncSchedules: () => scheduling.syncAtStart(),
      defaultName: `${hostname()}.${process.pid}`,
      keepCompletedMs,
      keepFailedMs,
      info: telling.info,
      warn: telling.warn,
      onClose: (closed) => this.#open.delete(closed),
      closeApp: async () => {
        if (this.#open.size === 0) await this.#closeApp();
      },
    };
  }

  /** What is told of the app to who asks. */
  #facts(): AppFacts {
    const { name, storeOptions, registry, router, keepCompletedMs, keepFailedMs } = this.#parts;
    const { connection, prefix, sealer, timeoutMs } = storeOptions;
    return {
      app: name,
      prefix,
      connection: connectionFacts(connection),
      codecs: sealer.names,
      resultTtlMs: keepCompletedMs,
      failureTtlMs: keepFailedMs,
      sendTimeoutMs: timeoutMs,
      registered: () => registeredTasks(registry.handledTasks(), (task, own) => router.usualQueue(task, own)),
    };
  }
}
