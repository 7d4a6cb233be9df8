/** The workers of an app in this process. */
import { hostname } from 'node:os';
import { listed } from '../base/text.js';
import { registeredTasks } from '../control/inspect.js';
import { connectionFacts, isShared } from '../store/connection.js';
import { appClosed } from '../store/queue-pool.js';
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

  /** @param disconnectApp Closes the connections of the app when its last worker has come to an end of its own. */
  constructor(dependencies: AppDependencies, disconnectApp: () => Promise<void>) {
    this.#dependencies = dependencies;
    this.#disconnectApp = disconnectApp;
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

  /** @throws {InvalidOptionError} if an option has a value it cannot have. */
  make(options: WorkerOptions): AppWorker {
    const isStoreShared = isShared(this.#dependencies.storeOptions.connection);
    const { normalized, role } = planWorker(options, defaultName(), isStoreShared);
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
    // Its supervisor waits for it. That the app was closed is told to whoever starts it.
    if (role.kind === 'process') worker.load().catch(() => {});
    return worker;
  }

  /** What makes workers in this process, whatever started it. */
  async ownMaker(): Promise<(options: WorkerOptions) => QueueWorker> {
    const [{ QueueWorker }, executor] = await Promise.all([
      import('../worker/worker.js'),
      this.#dependencies.executor(),
    ]);
    return (options) => {
      if (this.#isClosed) throw appClosed();
      const worker: QueueWorker = new QueueWorker(
        options,
        this.#workerParts(executor, () => this.#open.delete(worker)),
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
      this.#workerParts(executor, () => this.#open.delete(worker)),
    );
  }

  /** Closes all of them. Those that are made from now on refuse whatever is asked of them. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#open].map((worker) => worker.close()));
  }

  #workerParts(executor: Executor, onClose: () => void): WorkerDependencies {
    const { storeOptions, store, runtime, registry, queues, router, scheduling, tags, telling } =
      this.#dependencies;
    return {
      store: storeOptions,
      jobs: store,
      cleanTags: () => tags.clean(runtime.clock.now()),
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
      info: telling.info,
      warn: telling.warn,
      onClose,
      disconnectApp: async () => {
        if (this.#open.size === 0) await this.#disconnectApp();
      },
    };
  }

  /** What is told of the app to who asks. */
  #facts(): AppFacts {
    const { name, storeOptions, registry, router } = this.#dependencies;
    const { connection, prefix, sealer, timeoutMs, keptMs } = storeOptions;
    return {
      app: name,
      prefix,
      connection: connectionFacts(connection),
      codecs: sealer.names,
      resultTtlMs: keptMs.completed,
      failureTtlMs: keptMs.failed,
      sendTimeoutMs: timeoutMs,
      registered: () => registeredTasks(registry.handledTasks(), (task, own) => router.usualQueue(task, own)),
    };
  }
}
