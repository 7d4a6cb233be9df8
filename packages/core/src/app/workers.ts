/** Creates the workers of an app in this process, and closes them with the app. */
import { hostname } from 'node:os';
import { listed } from '../base/text.js';
import { registeredTasks } from '../control/inspect.js';
import { appClosed } from '../store/queue-pool.js';
import { checkWaits } from '../store/signals.js';
import type { ActivityListener } from '../worker/activity.js';
import type { AppWorker } from '../worker/app-worker.js';
import type { AppFacts } from '../worker/control-endpoint.js';
import type { WorkerDependencies } from '../worker/dependencies.js';
import type { Executor } from '../worker/executor.js';
import { LazyWorker, NoopWorker } from '../worker/lazy-worker.js';
import { queuesToServe, type WorkerOptions } from '../worker/options.js';
import { planWorker, type WorkerPlan, type WorkerRole } from '../worker/supervisor/plan.js';
import type { QueueWorker } from '../worker/worker.js';
import type { AppDependencies } from './wiring.js';

function defaultName(): string {
  return `${hostname()}.${process.pid}`;
}

export class Workers {
  readonly #dependencies: AppDependencies;
  readonly #disconnectApp: () => Promise<void>;
  readonly #listeners = new Set<ActivityListener>();
  readonly #open = new Set<AppWorker>();
  #isClosed = false;

  /** @param disconnectApp Closes the connections of the app when its last worker has ended by itself. */
  constructor(dependencies: AppDependencies, disconnectApp: () => Promise<void>) {
    this.#dependencies = dependencies;
    this.#disconnectApp = disconnectApp;
  }

  /** The workers that are not closed. */
  get open(): ReadonlySet<AppWorker> {
    return this.#open;
  }

  /** Adds a listener for the attempts of all workers; returns a function that removes it. */
  listen(listener: ActivityListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Creates a worker. @throws {InvalidOptionError} if an option is invalid. */
  make(options: WorkerOptions): AppWorker {
    const { connection } = this.#dependencies.storeOptions;
    const { normalized, role } = planWorker(options, defaultName(), connection);
    if (role === undefined) return new NoopWorker(normalized.name);
    const worker = new LazyWorker({
      name: role.kind === 'process' ? role.identity.name : normalized.name,
      isSupervisor: role.kind === 'supervisor',
      processIndex: role.kind === 'process' ? role.identity.index : undefined,
      queues: () => queuesToServe(normalized, () => this.#dependencies.queues.ofHandlers()),
      load: () => this.#load({ options, normalized, role }, worker),
      onClose: () => this.#open.delete(worker),
    });
    this.#open.add(worker);
    // Its supervisor waits for the load. `start` throws if the app was closed.
    if (role.kind === 'process') worker.load().catch(() => {});
    return worker;
  }

  /** Returns a function that creates workers in this process, also in one that a supervisor started. */
  async ownMaker(): Promise<(options: WorkerOptions) => QueueWorker> {
    const [{ QueueWorker }, executor] = await Promise.all([
      import('../worker/worker.js'),
      this.#dependencies.executor(),
    ]);
    return (options) => {
      if (this.#isClosed) throw appClosed();
      const worker: QueueWorker = new QueueWorker(
        options,
        this.#workerDependencies(executor, () => this.#open.delete(worker)),
      );
      this.#open.add(worker);
      return worker;
    };
  }

  async #load(plan: WorkerPlan<WorkerRole>, worker: AppWorker): Promise<AppWorker> {
    if (this.#isClosed) {
      this.#open.delete(worker);
      throw appClosed();
    }
    const [{ createWorker }, executor] = await Promise.all([
      import('../worker/supervisor/supervisor.js'),
      this.#dependencies.executor(),
    ]);
    return createWorker(
      plan,
      this.#workerDependencies(executor, () => this.#open.delete(worker)),
    );
  }

  /** Closes all workers. Workers that are created later throw when they are used. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#open].map((worker) => worker.close()));
  }

  #workerDependencies(executor: Executor, onClose: () => void): WorkerDependencies {
    const { storeOptions, store, runtime, registry, queues, router, scheduling, tags, log } =
      this.#dependencies;
    return {
      store: storeOptions,
      jobs: store,
      cleanTags: () => tags.clean(runtime.clock.now()),
      checkWaits: () => checkWaits(store, runtime.pause),
      clock: runtime.clock,
      facts: this.#facts(),
      executor,
      listeners: this.#listeners,
      defaultQueues: () => queues.ofHandlers(),
      checkQueue: (queue) => {
        router.checkDeclared(queue);
        const known = queues.ofTasks();
        if (known.includes(queue)) return;
        log.warn(
          `a worker serves queue "${queue}", which no task, route or option of this app names (known: ${listed(known)}). ` +
            'Correct the name, or list it in createApp({ queues })',
        );
      },
      isolatedTasks: (served) =>
        runtime.observer !== undefined
          ? []
          : registry
              .handledTasks()
              .filter(({ name, isolate, options }) => {
                return isolate !== undefined && served.includes(router.usualQueue(name, options.queue));
              })
              .map(({ name }) => name),
      prepareQueue: (queue) => queues.prepare(queue),
      syncSchedules: () => scheduling.syncAtStart(),
      defaultName: defaultName(),
      info: log.info,
      warn: log.warn,
      onClose,
      disconnectApp: async () => {
        if (this.#open.size === 0) await this.#disconnectApp();
      },
    };
  }

  /** Facts about the app for `app.inspect`. */
  #facts(): AppFacts {
    const { name, storeOptions, registry, router } = this.#dependencies;
    const { connection, prefix, sealer, timeoutMs, keptMs } = storeOptions;
    return {
      app: name,
      prefix,
      connection: connection.describe(),
      codecs: sealer.names,
      resultTtlMs: keptMs.completed,
      failureTtlMs: keptMs.failed,
      sendTimeoutMs: timeoutMs,
      registered: () =>
        registeredTasks(registry.handledTasks(), (task, queue) => router.usualQueue(task, queue)),
    };
  }
}
