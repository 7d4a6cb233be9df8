/**
 * The lifecycle of a worker that takes jobs in this process; `app.worker()` creates it, `LazyWorker` loads it.
 *
 * ```
 * new ─▶ starting ─▶ running ─▶ closing ─▶ closed
 * ```
 *
 * A closing worker takes no more jobs and waits for the running ones. With `force`, or after the timeout, it returns
 * them to their queues.
 */

import { isUmbelError } from '../base/errors.js';
import { ChildProcessError } from '../base/failures.js';
import { clearTimeout, setTimeout } from '../base/real-timers.js';
import { durationMs } from '../base/time.js';
import { CancellableWait } from '../base/wait.js';
import type { ActiveAttempt, AttemptCounts } from '../control/answers.js';
import type { ServedQueue } from '../control/worker-record.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { checkStore } from '../store/engine/drivers.js';
import { NOTHING_REPAIRED, type RepairCounts, Repairer } from '../store/repair.js';
import { Retention } from '../store/retention.js';
import {
  type Concurrency,
  type ConcurrencyBounds,
  checkQueue,
  concurrencyBounds,
} from '../task/option-checks.js';
import { Activity, watchLimits } from './activity.js';
import {
  type AppWorker,
  type CloseOptions,
  type CloseReason,
  checkClose,
  describeReturned,
  describeWait,
  endWithProcess,
  type Stoppable,
  workerClosed,
} from './app-worker.js';
import { type ControlledWorker, WorkerControl } from './control-endpoint.js';
import type { WorkerDependencies } from './dependencies.js';
import { HealthServer, healthOf, type WorkerHealth } from './health.js';
import { HistoryRecorder } from './history-recorder.js';
import { isIsolatedChild } from './isolate/messages.js';
import { ChildPool, programFor } from './isolate/pool.js';
import {
  type NormalizedWorkerOptions,
  normalizeWorkerOptions,
  queuesToServe,
  type WorkerOptions,
} from './options.js';
import { ServedQueues } from './queues.js';

/** Internal jobs only read and write the store, so this is enough for several hundred workflow runs at a time. */
const INTERNAL_CONCURRENCY: ConcurrencyBounds = { min: 50, max: 50 };
const PROBE_MS = 2000;

/** @throws {InvalidOptionError} if the value of an option is invalid. */
export class QueueWorker implements AppWorker, ControlledWorker, Stoppable {
  readonly name: string;
  readonly isSupervisor = false;
  readonly processIndex: number | undefined;
  readonly closed: Promise<CloseReason>;
  readonly #options: NormalizedWorkerOptions;
  readonly #dependencies: WorkerDependencies;
  readonly #queues: ServedQueues;
  readonly #activity: Activity;
  readonly #history: HistoryRecorder | undefined;
  readonly #children: ChildPool;
  readonly #repairer: Repairer | undefined;
  readonly #retention: Retention;
  /** Stop what runs in the background: signal listener, health server, control endpoint, limits. */
  readonly #stops: (() => unknown)[] = [];
  #state: AppWorker['state'] = 'new';
  #healthPort: number | undefined;
  #started: Promise<AppWorker> | undefined;
  #closing: Promise<void> | undefined;
  /** Cancelled when the worker closes, which ends the waits of `start`. */
  readonly #startWait = new CancellableWait();
  #resolveClosed: (reason: CloseReason) => void = () => {};

  constructor(workerOptions: WorkerOptions, dependencies: WorkerDependencies) {
    const options = normalizeWorkerOptions(workerOptions, dependencies.defaultName);
    this.#dependencies = dependencies;
    this.#options = options;
    this.name = options.name;
    this.processIndex = dependencies.processIndex;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#history = this.#newHistory();
    this.#activity = new Activity(dependencies.clock, dependencies.listeners, this.#history);
    this.#repairer = this.#newRepairer();
    this.#retention = this.#newRetention();
    const maxima = [options.concurrency, ...(options.queues?.values() ?? [])].map(({ max }) => max);
    this.#children = new ChildPool(Math.max(...maxima));
    this.#queues = new ServedQueues({
      name: options.name,
      options,
      app: dependencies,
      executor: dependencies.executor.forWorker({
        children: this.#children,
        maxLostStarts: options.maxLostStarts,
        lockDurationMs: options.lockDurationMs,
        activity: this.#activity,
      }),
      activity: this.#activity,
      retention: this.#retention,
    });
  }

  get queues(): readonly string[] {
    return this.#state === 'new' ? this.#queuesToServe() : this.#queues.names;
  }

  get state(): AppWorker['state'] {
    return this.#state;
  }

  get active(): readonly ActiveAttempt[] {
    return this.#activity.active;
  }

  get concurrency(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      Object.entries(this.served).map(([queue, { concurrency }]) => [queue, concurrency]),
    );
  }

  get counts(): AttemptCounts {
    return { ...this.#activity.counts };
  }

  get repairs(): RepairCounts {
    return this.#repairer?.total ?? NOTHING_REPAIRED;
  }

  get healthPort(): number | undefined {
    return this.#healthPort;
  }

  get served(): Readonly<Record<string, ServedQueue>> {
    return this.#queues.facts;
  }

  start(): Promise<AppWorker> {
    if (this.#closing !== undefined) return Promise.reject(workerClosed());
    this.#started ??= this.#start().catch(async (error: unknown) => {
      if (this.#isEnding()) return this.#closed();
      await this.#end('closed');
      throw error;
    });
    return this.#started;
  }

  async health(): Promise<WorkerHealth> {
    const isStoreReached = await this.#dependencies.jobs.isReached(PROBE_MS);
    return healthOf({ state: this.#state, isStoreReached, idleQueues: this.#queues.idle });
  }

  async setConcurrency(concurrency: Concurrency, queue?: string): Promise<void> {
    this.#refuseClosed();
    await this.#queues.setConcurrency(concurrencyBounds('concurrency', concurrency), queue);
    if (this.#state === 'running') this.#queues.autoscale();
  }

  async addQueue(queue: string, concurrency?: Concurrency): Promise<void> {
    this.#refuseClosed();
    checkQueue('queue', queue);
    this.#dependencies.checkQueue(queue);
    for (const task of this.#dependencies.isolatedTasks([queue])) programFor(task);
    const bounds =
      concurrency === undefined ? this.#options.concurrency : concurrencyBounds('concurrency', concurrency);
    if (!this.#queues.has(queue)) await this.#serve(queue, bounds);
    if (this.#state === 'running') this.#queues.autoscale();
  }

  removeQueue(queue: string): Promise<void> {
    return this.#queues.remove(queue);
  }

  async close(options: CloseOptions = {}): Promise<void> {
    const { force = false, timeout } = checkClose(options);
    const timeoutMs = timeout === undefined ? undefined : durationMs(timeout, 'timeout');
    const closing = this.#end('closed');
    if (force) await this.#returnJobs();
    else if (timeoutMs !== undefined) await this.#within(timeoutMs, closing);
    await closing;
  }

  async shutDown(signal: NodeJS.Signals): Promise<void> {
    await this.#shutDown(signal, 'signal', this.#options.shutdownTimeoutMs);
  }

  async shutDownByControl(jobsTimeoutMs?: number): Promise<void> {
    await this.#shutDown(
      'shut down by app.control',
      'control',
      jobsTimeoutMs ?? this.#options.shutdownTimeoutMs,
    );
  }

  abort(): Promise<void> {
    return this.close({ force: true });
  }

  /** Abandons the running jobs as if the process had died: they run again elsewhere once their locks expire. */
  async abandon(): Promise<void> {
    const closing = this.#end('closed');
    await this.#queues.abandon();
    await this.#children.close(true);
    await closing;
  }

  /** Rejects as soon as the worker is closed, and starts no further step then. */
  async #start(): Promise<AppWorker> {
    if (isIsolatedChild()) {
      throw new ChildProcessError(
        'A worker was started by a module that an isolated task is loaded from. Define the task in a separate module.',
      );
    }
    const { queues: bounds, concurrency, handlesSignals, syncsSchedules } = this.#options;
    const queues = this.#queuesToServe();
    if (queues.length === 0) {
      this.#dependencies.warn(
        'the worker serves no queue: import the modules that define its tasks before you start it',
      );
    }
    for (const queue of queues) this.#dependencies.checkQueue(queue);
    for (const task of this.#dependencies.isolatedTasks(queues)) programFor(task);
    this.#state = 'starting';
    if (handlesSignals) this.#stops.push(endWithProcess(this));
    await this.#step(() => this.#startHealthServer());
    await this.#untilReached(() => this.#checkStore());
    if (syncsSchedules) await this.#untilReached(() => this.#dependencies.syncSchedules());
    const control = this.#newControl();
    this.#stops.push(() => control.stop());
    await this.#untilReached(() => control.start());
    await this.#step(() =>
      Promise.all([
        ...queues.map((queue) => this.#serve(queue, bounds?.get(queue) ?? concurrency)),
        this.#queues.serve(INTERNAL_QUEUE, INTERNAL_CONCURRENCY, async () => {}),
      ]),
    );
    this.#startBackgroundWork();
    await this.#step(() => control.begin());
    return this;
  }

  /** Runs one step of the start. @throws {ClosedError} as soon as the worker is closed, even while the step waits. */
  async #step<T>(step: () => Promise<T>): Promise<T> {
    this.#refuseClosed();
    const value = await this.#startWait.race(step());
    this.#refuseClosed();
    return value;
  }

  #refuseClosed(): void {
    if (this.#isEnding()) throw workerClosed();
  }

  #isEnding(): boolean {
    return this.#closing !== undefined;
  }

  /** Resolves with the worker once it is closed. */
  async #closed(): Promise<AppWorker> {
    await this.#closing;
    return this;
  }

  /** Starts the background work: repairs, retention, autoscaling and limits. */
  #startBackgroundWork(): void {
    this.#state = 'running';
    this.#repairer?.start();
    this.#retention.start();
    this.#history?.start();
    this.#queues.autoscale();
    const { maxJobs, maxMemoryBytes } = this.#options;
    this.#stops.push(
      watchLimits(this.#activity, {
        maxJobs,
        maxMemoryBytes,
        onReached: (reason, words) => {
          this.#dependencies.info(`worker ${this.name} is closing: ${words}`);
          void this.#end(reason);
        },
      }),
    );
  }

  #queuesToServe(): string[] {
    return queuesToServe(this.#options, this.#dependencies.defaultQueues);
  }

  #serve(queue: string, bounds: ConcurrencyBounds): Promise<void> {
    return this.#queues.serve(queue, bounds, () =>
      this.#untilReached(() => this.#dependencies.prepareQueue(queue)),
    );
  }

  async #shutDown(why: string, reason: CloseReason, jobsTimeoutMs: number | undefined): Promise<void> {
    const wait = describeWait(this.active.length, jobsTimeoutMs);
    this.#dependencies.info(`${why}: worker ${this.name} takes no more jobs${wait}`);
    const closing = this.#end(reason);
    await (jobsTimeoutMs === undefined ? closing : this.#within(jobsTimeoutMs, closing));
  }

  #end(reason: CloseReason): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  async #close(reason: CloseReason): Promise<void> {
    this.#state = 'closing';
    this.#startWait.with(workerClosed());
    this.#dependencies.onClosing?.(reason);
    try {
      await Promise.all([this.#repairer?.stop(), this.#retention.stop()]);
      await this.#queues.close();
      await this.#history?.stop();
    } finally {
      await Promise.allSettled(this.#stops.splice(0).map(async (stop) => stop()));
      await this.#children.close(false);
      this.#state = 'closed';
      this.#dependencies.onClose();
      // Open connections would keep the process alive after the last worker has ended.
      if (reason !== 'closed') await this.#dependencies.disconnectApp();
      this.#resolveClosed(reason);
    }
  }

  async #within(ms: number, closing: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const isOver = new Promise<true>((resolve) => {
      timer = setTimeout(() => resolve(true), ms);
    });
    const isLate = await Promise.race([closing.then(() => false), isOver]);
    clearTimeout(timer);
    if (isLate) await this.#returnJobs();
    await closing;
  }

  /** Returns the running jobs to their queues, and abandons those that the store does not accept in time. */
  async #returnJobs(): Promise<void> {
    const { active } = this;
    if (active.length > 0) {
      const attempts = describeReturned(active, this.#dependencies.clock.now());
      this.#dependencies.warn(`worker ${this.name} returned ${attempts}`);
    }
    await this.#queues.returnJobs();
    await this.abandon();
  }

  async #checkStore(): Promise<void> {
    const facts = await this.#dependencies.jobs.facts();
    if (facts === undefined) return;
    const { prefix } = this.#dependencies.store;
    const { allowsEviction } = this.#options;
    for (const warning of checkStore(facts, { prefix, allowsEviction })) this.#dependencies.warn(warning);
  }

  /** Repeats the command until the store is reachable: workers are often started before their store. */
  async #untilReached(command: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await this.#step(command);
      } catch (error) {
        if (!isUmbelError(error, 'CONNECTION')) throw error;
      }
    }
  }

  #newControl(): WorkerControl {
    const { store, jobs, clock, facts, warn } = this.#dependencies;
    return new WorkerControl({
      worker: this,
      process: this.processIndex,
      options: this.#options,
      facts,
      store: jobs,
      backend: store,
      clock,
      terminate: (job) => this.#queues.terminate(job),
      warn,
    });
  }

  async #startHealthServer(): Promise<void> {
    const { health } = this.#options;
    if (health === undefined) return;
    const server = new HealthServer(() => this.health(), health.metrics);
    this.#stops.push(() => server.close());
    this.#healthPort = await server.listen(health.port, health.host);
  }

  /** A test app records its own history, in virtual time. */
  #newHistory(): HistoryRecorder | undefined {
    const { jobs, store, clock } = this.#dependencies;
    if (store.isUnshared) return undefined;
    return new HistoryRecorder({ store: jobs, now: () => clock.now(), onError: store.onError });
  }

  #newRetention(): Retention {
    const { jobs, store, clock } = this.#dependencies;
    return new Retention({
      store: jobs,
      clock,
      queues: () => this.queues,
      keptMs: store.keptMs,
      onError: store.onError,
    });
  }

  #newRepairer(): Repairer | undefined {
    const { repairIntervalMs } = this.#options;
    if (repairIntervalMs === undefined) return undefined;
    const { jobs, store, clock, warn } = this.#dependencies;
    return new Repairer({
      store: jobs,
      now: () => clock.now(),
      queues: () => this.queues,
      intervalMs: repairIntervalMs,
      cleanTags: this.#dependencies.cleanTags,
      checkWaits: this.#dependencies.checkWaits,
      onRepaired: ({ started, lost, ended }) =>
        warn(
          `repaired jobs that waited for nothing: ${started} started, ${lost} had lost a child in the store, ` +
            `${ended} had ended already. Check whether something removes or evicts jobs.`,
        ),
      onError: store.onError,
    });
  }
}
