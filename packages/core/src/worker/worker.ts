/**
 * A worker from its start to its end.
 *
 * ```
 * new ─▶ starting ─▶ running ─▶ closing ─▶ closed
 * ```
 *
 * Closing takes no more jobs and waits for those that run; by force, or when its time is over, those go back to their
 * queues.
 */

import { ChildProcessError, isUmbelError } from '../base/errors.js';
import { clearTimeout, setTimeout } from '../base/real-timers.js';
import { durationMs } from '../base/time.js';
import { CancellableWait } from '../base/wait.js';
import type { ActiveAttempt, AttemptCounts } from '../control/answers.js';
import type { ServedQueue } from '../control/worker-record.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
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
  endWithProcess,
  type Stoppable,
  shownAttempts,
  shownWait,
  workerClosed,
} from './app-worker.js';
import { type Directed, WorkerControl } from './control-endpoint.js';
import { checkStore, HealthServer, healthOf, type WorkerHealth } from './health.js';
import { isIsolatedChild } from './isolate/messages.js';
import { ChildPool, programFor } from './isolate/pool.js';
import {
  type NormalizedWorkerOptions,
  normalizeWorkerOptions,
  queuesToServe,
  type WorkerOptions,
} from './options.js';
import type { WorkerParts } from './parts.js';
import { ServedQueues } from './queues.js';

/** Enough for the bookkeeping of several hundred runs at a time; these jobs only read and write the store. */
const INTERNAL_CONCURRENCY: ConcurrencyBounds = { min: 50, max: 50 };
const PROBE_MS = 2000;

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export class QueueWorker implements AppWorker, Directed, Stoppable {
  readonly name: string;
  readonly isSupervisor = false;
  readonly processIndex: number | undefined;
  readonly closed: Promise<CloseReason>;
  readonly #options: NormalizedWorkerOptions;
  readonly #parts: WorkerParts;
  readonly #queues: ServedQueues;
  readonly #activity: Activity;
  readonly #children: ChildPool;
  readonly #repairer: Repairer | undefined;
  readonly #retention: Retention;
  /** What goes on beside the work while it runs, and how to stop it. */
  readonly #stops: (() => unknown)[] = [];
  #state: AppWorker['state'] = 'new';
  #healthPort: number | undefined;
  #started: Promise<AppWorker> | undefined;
  #closing: Promise<void> | undefined;
  /** Ends the waits of the start. */
  readonly #ending = new CancellableWait();
  #tellClosed: (reason: CloseReason) => void = () => {};

  constructor(given: WorkerOptions, parts: WorkerParts) {
    const options = normalizeWorkerOptions(given, parts.defaultName);
    this.#parts = parts;
    this.#options = options;
    this.name = options.name;
    this.processIndex = parts.processIndex;
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    this.#activity = new Activity(parts.clock, parts.listeners);
    this.#repairer = this.#newRepairer();
    this.#retention = this.#newRetention();
    const most = [options.concurrency, ...(options.queues?.values() ?? [])].map(({ max }) => max);
    this.#children = new ChildPool(Math.max(...most));
    this.#queues = new ServedQueues({
      name: options.name,
      options,
      app: parts,
      executor: parts.executor.forWorker({
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
    const isStoreReached = await this.#parts.jobs.isReached(PROBE_MS);
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
    this.#parts.checkQueue(queue);
    for (const task of this.#parts.isolatedTasks([queue])) programFor(task);
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
    if (force) await this.#giveBack();
    else if (timeoutMs !== undefined) await this.#within(timeoutMs, closing);
    await closing;
  }

  async shutDown(signal: NodeJS.Signals): Promise<void> {
    await this.#shutDown(signal, 'signal', this.#options.shutdownTimeoutMs);
  }

  async shutDownByOrder(jobsTimeoutMs?: number): Promise<void> {
    await this.#shutDown('told to shut down', 'control', jobsTimeoutMs ?? this.#options.shutdownTimeoutMs);
  }

  abort(): Promise<void> {
    return this.close({ force: true });
  }

  /** Cuts off what runs, as if the process had died: its jobs run again elsewhere once their locks have run out. */
  async abandon(): Promise<void> {
    const closing = this.#end('closed');
    await this.#queues.abandon();
    await this.#children.close(true);
    await closing;
  }

  /** Rejects as soon as the worker is closed meanwhile: each step begins only while it is wanted. */
  async #start(): Promise<AppWorker> {
    if (isIsolatedChild()) {
      throw new ChildProcessError(
        'A worker was started by a module that an isolated task is loaded from. Define the task in a module of its own.',
      );
    }
    const { queues: bounds, concurrency, handlesSignals, syncsSchedules } = this.#options;
    const queues = this.#queuesToServe();
    if (queues.length === 0) {
      this.#parts.warn(
        'a worker was started that serves no queue: import the modules that define its tasks before it is started',
      );
    }
    for (const queue of queues) this.#parts.checkQueue(queue);
    for (const task of this.#parts.isolatedTasks(queues)) programFor(task);
    this.#state = 'starting';
    if (handlesSignals) this.#stops.push(endWithProcess(this));
    await this.#wanted(() => this.#startHealthServer());
    await this.#reached(() => this.#checkStore());
    if (syncsSchedules) await this.#reached(() => this.#parts.syncSchedules());
    const control = this.#newControl();
    this.#stops.push(() => control.stop());
    await this.#reached(() => control.start());
    await this.#wanted(() =>
      Promise.all([
        ...queues.map((queue) => this.#serve(queue, bounds?.get(queue) ?? concurrency)),
        this.#queues.serve(INTERNAL_QUEUE, INTERNAL_CONCURRENCY, async () => {}),
      ]),
    );
    this.#running();
    await this.#wanted(() => control.begin());
    return this;
  }

  /** What a step of the start gives. @throws {ClosedError} at once when the worker is closed, whatever the step waits for. */
  async #wanted<T>(step: () => Promise<T>): Promise<T> {
    this.#refuseClosed();
    const value = await this.#ending.race(step());
    this.#refuseClosed();
    return value;
  }

  #refuseClosed(): void {
    if (this.#isEnding()) throw workerClosed();
  }

  #isEnding(): boolean {
    return this.#closing !== undefined;
  }

  /** The worker itself, once it is closed. */
  async #closed(): Promise<AppWorker> {
    await this.#closing;
    return this;
  }

  /** Begins what goes on beside the work. */
  #running(): void {
    this.#state = 'running';
    this.#repairer?.start();
    this.#retention.start();
    this.#queues.autoscale();
    const { maxJobs, maxMemoryBytes } = this.#options;
    this.#stops.push(
      watchLimits(this.#activity, {
        maxJobs,
        maxMemoryBytes,
        onReached: (reason, words) => {
          this.#parts.info(`worker ${this.name} closes: ${words}`);
          void this.#end(reason);
        },
      }),
    );
  }

  #queuesToServe(): string[] {
    return queuesToServe(this.#options, this.#parts.defaultQueues);
  }

  #serve(queue: string, bounds: ConcurrencyBounds): Promise<void> {
    return this.#queues.serve(queue, bounds, () => this.#reached(() => this.#parts.prepareQueue(queue)));
  }

  async #shutDown(why: string, reason: CloseReason, jobsTimeoutMs: number | undefined): Promise<void> {
    const wait = shownWait(this.active.length, jobsTimeoutMs);
    this.#parts.info(`${why}: worker ${this.name} takes no more jobs${wait}`);
    const closing = this.#end(reason);
    await (jobsTimeoutMs === undefined ? closing : this.#within(jobsTimeoutMs, closing));
  }

  #end(reason: CloseReason): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  async #close(reason: CloseReason): Promise<void> {
    this.#state = 'closing';
    this.#ending.with(workerClosed());
    this.#parts.onClosing?.(reason);
    try {
      await Promise.all([this.#repairer?.stop(), this.#retention.stop()]);
      await this.#queues.close();
    } finally {
      await Promise.allSettled(this.#stops.splice(0).map(async (stop) => stop()));
      await this.#children.close(false);
      this.#state = 'closed';
      this.#parts.onClose();
      // A worker that is to end is to let its process end.
      if (reason !== 'closed') await this.#parts.disconnectApp();
      this.#tellClosed(reason);
    }
  }

  async #within(ms: number, closing: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const isOver = new Promise<true>((resolve) => {
      timer = setTimeout(() => resolve(true), ms);
    });
    const isLate = await Promise.race([closing.then(() => false), isOver]);
    clearTimeout(timer);
    if (isLate) await this.#giveBack();
    await closing;
  }

  /** Puts back what runs, and cuts off what the store does not take back. */
  async #giveBack(): Promise<void> {
    const { active } = this;
    if (active.length > 0) {
      const attempts = shownAttempts(active, this.#parts.clock.now());
      this.#parts.warn(`worker ${this.name} gives back ${attempts}`);
    }
    await this.#queues.giveBack();
    await this.abandon();
  }

  async #checkStore(): Promise<void> {
    const facts = await this.#parts.jobs.facts();
    if (facts === undefined) return;
    const { prefix } = this.#parts.store;
    const { allowsEviction } = this.#options;
    for (const warning of checkStore(facts, { prefix, allowsEviction })) this.#parts.warn(warning);
  }

  /** Does what the store is needed for, however long it cannot be reached: workers are often started before it. */
  async #reached(command: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await this.#wanted(command);
      } catch (error) {
        if (!isUmbelError(error, 'CONNECTION')) throw error;
      }
    }
  }

  #newControl(): WorkerControl {
    const { store, jobs, clock, facts, warn } = this.#parts;
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

  #newRetention(): Retention {
    const { jobs, store, clock } = this.#parts;
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
    const { jobs, store, clock, warn } = this.#parts;
    return new Repairer({
      store: jobs,
      now: () => clock.now(),
      queues: () => this.queues,
      intervalMs: repairIntervalMs,
      cleanTags: this.#parts.cleanTags,
      onRepaired: ({ started, lost, ended }) =>
        warn(
          `repaired jobs that waited for what would never come: ${started} started that waited for nothing, ${lost} ` +
            `gone from the store, ${ended} that had ended. Has something removed or evicted jobs?`,
        ),
      onError: store.onError,
    });
  }
}
