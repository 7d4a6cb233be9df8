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
import type { BackendOptions } from '../../bullmq/backends.js';
import { type Claimer, createClaimer } from '../../bullmq/claim.js';
import type { Termination } from '../../bullmq/control.js';
import { NOTHING_REPAIRED, type RepairCounts } from '../../bullmq/repair.js';
import { Repairer } from '../../bullmq/repairer.js';
import type { Store } from '../../bullmq/store.js';
import type { Clock } from '../../clock.js';
import { type AppFacts, type Directed, WorkerControl } from '../../control/worker-control.js';
import type { ServedQueue } from '../../control/worker-record.js';
import { type Duration, durationMs } from '../../duration.js';
import {
  ChildProcessError,
  ClosedError,
  isUmbelError,
  RevokedError,
  UnknownQueueError,
  WorkerClosedError,
} from '../../errors.js';
import { INTERNAL_QUEUE } from '../../flow/node.js';
import { checkQueue } from '../../tasks/options.js';
import type { Executor } from '../execute.js';
import { ChildPool } from '../isolated/child-pool.js';
import { isIsolatedChild } from '../isolated/handlers.js';
import { type ActiveAttempt, Activity, type ActivityListener, type AttemptCounts } from './activity.js';
import {
  type Concurrency,
  type ConcurrencyBounds,
  concurrencyBounds,
  nextConcurrency,
} from './concurrency.js';
import { EventLoopMeter } from './event-loop.js';
import { HealthServer, healthOf, type WorkerHealth } from './health.js';
import { watchLimits } from './limits.js';
import { type NormalizedWorkerOptions, normalizeWorkerOptions, type WorkerOptions } from './options.js';
import { endWithProcess, type Stoppable } from './process-signals.js';
import { checkStore } from './store-checks.js';

export interface CloseOptions {
  /** Does not wait for running jobs: they are given back to their queues, uncharged, to run again elsewhere. */
  force?: boolean;
  /** Longest wait for running jobs, which are given back then. Default: no limit. */
  timeout?: Duration;
}

/**
 * Why a worker was closed: by its `close` or that of its app, by a signal, by `app.control.shutdown`, or because it had
 * reached a limit.
 */
export type CloseReason = 'closed' | 'signal' | 'control' | 'max-jobs' | 'max-memory';

/** Takes jobs and runs their handlers. */
export interface AppWorker {
  readonly name: string;
  /** Whether other processes take the jobs, which this one starts and ends (`processes`, `watch`). */
  readonly isSupervisor: boolean;
  /** Of this process among those of the worker, from 0; undefined in the supervisor, and without one. */
  readonly processIndex: number | undefined;
  readonly queues: readonly string[];
  readonly state: 'new' | 'starting' | 'running' | 'closing' | 'closed';
  /** Resolves, once the worker is closed, with why. */
  readonly closed: Promise<CloseReason>;
  /** The attempts that run now, the one that began first in front. */
  readonly active: readonly ActiveAttempt[];
  /** How many jobs of each of its queues it runs at the same time, as that is now. */
  readonly concurrency: Readonly<Record<string, number>>;
  /** How many attempts have ended since the start, by how. */
  readonly counts: AttemptCounts;
  /** What this worker has repaired since it was started: anything but zeros deserves a look at the store. */
  readonly repairs: RepairCounts;
  /**
   * Connects and begins to take jobs. Gives the worker itself, once it is connected; waits for a store that cannot be
   * reached, telling the app's logger why, since workers are often started before it.
   * @throws {ClosedError} if the worker was closed before.
   * @throws {StoreConfigurationError} if the store is not fit: it evicts keys (unless `allowEviction` is set), is too old,
   * or is a cluster and the prefix has no braces.
   * @throws {ScheduleError} if a schedule that this program declares has an input that does not fit.
   * @throws {ChildProcessError} if a process of several ended before it took jobs, or the program has no file to run again.
   */
  start(): Promise<AppWorker>;
  /** Whether it lives and takes jobs, with the reasons if not. Asks the store, for 2 s at most. */
  health(): Promise<WorkerHealth>;
  /** The port of its probes, once it is started, if it has any: that of the option `health`, or the one that the system chose for 0. */
  readonly healthPort: number | undefined;
  /**
   * Jobs that run at the same time, of a queue or of each; from now on, until the worker ends.
   * @throws {UnknownQueueError} if it does not serve the queue.
   */
  setConcurrency(concurrency: Concurrency, queue?: string): Promise<void>;
  /** Serves one more queue, until the worker ends. @throws {UnknownQueueError} if the app has none of that name. */
  addQueue(queue: string, concurrency?: Concurrency): Promise<void>;
  /** Takes no more jobs of a queue; settles when those that run have ended. */
  removeQueue(queue: string): Promise<void>;
  /** Takes no more jobs, waits for those that run, and disconnects. */
  close(options?: CloseOptions): Promise<void>;
}

/** Enough for the bookkeeping of several hundred runs at a time; these jobs only read and write the store. */
const INTERNAL_CONCURRENCY: ConcurrencyBounds = { min: 50, max: 50 };
/** From one look at the load to the next. */
const LOAD_MS = 1000;
/** How long the store may take for jobs that are given back. */
const GIVE_BACK_MS = 2000;
/** A queue is asked at least every 10 s; one that is rate limited, every 30 s. */
const ASKED_MS = 60_000;
const PROBE_MS = 2000;

const { setTimeout, clearTimeout } = globalThis;

/** What a worker is given by its app. */
export interface WorkerParts {
  readonly store: BackendOptions;
  readonly jobs: Store;
  readonly clock: Clock;
  /** What is told of the app to who asks. */
  readonly facts: AppFacts;
  readonly executor: Executor;
  /** Who is told of the attempts of all workers of the app. */
  readonly listeners: ReadonlySet<ActivityListener>;
  readonly defaultQueues: () => string[];
  /** @throws {UnknownQueueError} */
  readonly checkQueue: (queue: string) => void;
  /** Applies the settings of a queue as a whole. */
  readonly prepareQueue: (queue: string) => Promise<void>;
  /** Stores the schedules that this program declares. */
  readonly syncSchedules: () => Promise<void>;
  readonly defaultName: string;
  /** If a supervisor has started this process. */
  readonly processIndex?: number;
  readonly keepCompletedMs: number;
  readonly keepFailedMs: number;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
  /** It takes no more jobs. */
  readonly onClosing?: (reason: CloseReason) => void;
  readonly onClose: (worker: AppWorker) => void;
  /** Closes the app, if it has no other worker. */
  readonly closeApp: () => Promise<void>;
}

interface Served {
  readonly claimer: Claimer;
  bounds: ConcurrencyBounds;
}

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export class QueueWorker implements AppWorker, Directed, Stoppable {
  readonly name: string;
  readonly isSupervisor = false;
  readonly processIndex: number | undefined;
  readonly closed: Promise<CloseReason>;
  readonly #options: NormalizedWorkerOptions;
  readonly #parts: WorkerParts;
  readonly #served = new Map<string, Served>();
  /** Claimers of queues that it serves no more, while their last jobs run. */
  readonly #leaving = new Set<{ readonly queue: string; readonly claimer: Claimer }>();
  readonly #activity: Activity;
  readonly #children: ChildPool;
  readonly #executor: Executor;
  readonly #repairer: Repairer | undefined;
  /** What goes on beside the work while it runs, and how to stop it. */
  readonly #stops: (() => unknown)[] = [];
  #state: AppWorker['state'] = 'new';
  #healthPort: number | undefined;
  #isAutoscaling = false;
  #started: Promise<AppWorker> | undefined;
  #closing: Promise<void> | undefined;
  #tellClosed: (reason: CloseReason) => void = () => {};

  constructor(options: WorkerOptions, parts: WorkerParts) {
    this.#parts = parts;
    this.#options = normalizeWorkerOptions(options, parts.defaultName);
    this.name = this.#options.name;
    this.processIndex = parts.processIndex;
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    this.#activity = new Activity(parts.clock, parts.listeners);
    this.#repairer = this.#newRepairer();
    const most = [this.#options.concurrency, ...(this.#options.queues?.values() ?? [])].map(({ max }) => max);
    this.#children = new ChildPool(Math.max(...most));
    const { maxLostStarts } = this.#options;
    this.#executor = parts.executor.forWorker({ children: this.#children, maxLostStarts });
  }

  get queues(): readonly string[] {
    if (this.#state !== 'new') return [...this.#served.keys()].filter((queue) => queue !== INTERNAL_QUEUE);
    return this.#queuesToServe();
  }

  get state(): AppWorker['state'] {
    return this.#state;
  }

  get active(): readonly ActiveAttempt[] {
    return this.#activity.active;
  }

  get concurrency(): Readonly<Record<string, number>> {
    const served = [...this.#served].filter(([queue]) => queue !== INTERNAL_QUEUE);
    return Object.fromEntries(served.map(([queue, { claimer }]) => [queue, claimer.concurrency]));
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
    const entries = [...this.#served].map(
      ([
        queue,
        {
          claimer: { concurrency },
        },
      ]) => [queue, { concurrency, active: this.#activity.activeIn(queue) }],
    );
    return Object.fromEntries(entries.filter(([queue]) => queue !== INTERNAL_QUEUE));
  }

  start(): Promise<AppWorker> {
    this.#started ??= this.#start().catch(async (error: unknown) => {
      await this.#end('closed');
      throw error;
    });
    return this.#started;
  }

  async health(): Promise<WorkerHealth> {
    const idleQueues = [...this.#served]
      .filter(([queue, { claimer }]) => this.#activity.activeIn(queue) < claimer.concurrency)
      .map(([queue, { claimer }]) => ({ queue, idleMs: claimer.sinceAskedMs() }))
      .filter(({ idleMs }) => idleMs > ASKED_MS);
    const isStoreReached = await this.#parts.jobs.isReached(PROBE_MS);
    return healthOf({ state: this.#state, isStoreReached, idleQueues });
  }

  async setConcurrency(concurrency: Concurrency, queue?: string): Promise<void> {
    const bounds = concurrencyBounds('concurrency', concurrency);
    for (const [name, served] of this.#served) {
      if (name === INTERNAL_QUEUE || (queue !== undefined && name !== queue)) continue;
      served.bounds = bounds;
      const { claimer } = served;
      await claimer.setConcurrency(Math.min(bounds.max, Math.max(bounds.min, claimer.concurrency)));
    }
    if (queue !== undefined && !this.#served.has(queue)) throw new UnknownQueueError(queue, this.queues);
    this.#autoscale();
  }

  async addQueue(queue: string, concurrency?: Concurrency): Promise<void> {
    checkQueue('queue', queue);
    this.#parts.checkQueue(queue);
    const bounds =
      concurrency === undefined ? this.#options.concurrency : concurrencyBounds('concurrency', concurrency);
    if (!this.#served.has(queue)) await this.#serve(queue, bounds);
    this.#autoscale();
  }

  async removeQueue(queue: string): Promise<void> {
    const served = queue === INTERNAL_QUEUE ? undefined : this.#served.get(queue);
    if (served === undefined) throw new UnknownQueueError(queue, this.queues);
    const leaving = { queue, claimer: served.claimer };
    this.#served.delete(queue);
    this.#leaving.add(leaving);
    try {
      await served.claimer.close();
    } finally {
      this.#leaving.delete(leaving);
    }
  }

  async close({ force = false, timeout }: CloseOptions = {}): Promise<void> {
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

  async #start(): Promise<AppWorker> {
    if (this.#closing !== undefined) {
      throw new ClosedError('This worker was closed; make another with app.worker().');
    }
    if (isIsolatedChild()) {
      throw new ChildProcessError(
        'A worker was started by a module that an isolated task is loaded from. Define the task in a module of its own.',
      );
    }
    const queues = this.#queuesToServe();
    if (queues.length === 0) {
      this.#parts.warn(
        'a worker was started that serves no queue: import the modules that define its tasks before it is started',
      );
    }
    for (const queue of queues) this.#parts.checkQueue(queue);
    this.#state = 'starting';
    if (this.#options.handlesSignals) this.#stops.push(endWithProcess(this));
    await this.#startHealthServer();
    await this.#reached(() => this.#checkStore());
    if (this.#options.syncsSchedules) await this.#reached(() => this.#parts.syncSchedules());
    const control = this.#newControl();
    this.#stops.push(() => control.stop());
    await this.#reached(() => control.start());
    await Promise.all([
      ...queues.map((queue) =>
        this.#serve(queue, this.#options.queues?.get(queue) ?? this.#options.concurrency),
      ),
      this.#serve(INTERNAL_QUEUE, INTERNAL_CONCURRENCY),
    ]);
    if (this.#closing === undefined) {
      this.#running();
      await control.begin();
    }
    return this;
  }

  /** Begins what goes on beside the work. */
  #running(): void {
    this.#state = 'running';
    this.#repairer?.start();
    this.#autoscale();
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
    return [...new Set(this.#options.queues?.keys() ?? this.#parts.defaultQueues())];
  }

  async #shutDown(why: string, reason: CloseReason, jobsTimeoutMs: number | undefined): Promise<void> {
    const { length } = this.active;
    const limit = jobsTimeoutMs === undefined ? '' : ` for up to ${jobsTimeoutMs / 1000} s`;
    const waiting = length === 0 ? '' : `; waiting${limit} for ${length} that run${length === 1 ? 's' : ''}`;
    this.#parts.info(`${why}: worker ${this.name} takes no more jobs${waiting}`);
    const closing = this.#end(reason);
    await (jobsTimeoutMs === undefined ? closing : this.#within(jobsTimeoutMs, closing));
  }

  #end(reason: CloseReason): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  async #close(reason: CloseReason): Promise<void> {
    this.#state = 'closing';
    this.#parts.onClosing?.(reason);
    try {
      await this.#repairer?.stop();
      await Promise.all(this.#claimers().map((claimer) => claimer.close()));
    } finally {
      await Promise.allSettled(this.#stops.splice(0).map(async (stop) => stop()));
      await this.#children.close(false);
      this.#state = 'closed';
      this.#parts.onClose(this);
      // A worker that is to end is to let its process end.
      if (reason !== 'closed') await this.#parts.closeApp();
      this.#tellClosed(reason);
    }
  }

  async #within(ms: number, closing: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const isOver = new Promise<true>((resolve) => {
      timer = setTimeout(() => resolve(true), ms);
    });
    const late = await Promise.race([closing.then(() => false), isOver]);
    clearTimeout(timer);
    if (late) await this.#giveBack();
    await closing;
  }

  /** Puts back what runs, and cuts off what the store does not take back. */
  async #giveBack(): Promise<void> {
    const { active } = this;
    if (active.length > 0)
      this.#parts.warn(`worker ${this.name} gives back ${listed(active, this.#parts.clock.now())}`);
    const claimers = this.#claimers();
    for (const claimer of claimers) claimer.giveUpAll((id) => new WorkerClosedError(id));
    let timer: NodeJS.Timeout | undefined;
    const isOver = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GIVE_BACK_MS);
    });
    await Promise.race([Promise.all(claimers.map((claimer) => claimer.close())), isOver]);
    clearTimeout(timer);
    await this.abandon();
  }

  /** Cuts off what runs, as if the process had died: its jobs run again elsewhere once their locks have run out. */
  async abandon(): Promise<void> {
    const closing = this.#end('closed');
    await Promise.all([...this.#served.values()].map(({ claimer }) => claimer.close(true)));
    await this.#children.close(true);
    await closing;
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
        return await command();
      } catch (error) {
        if (this.#closing !== undefined || !isUmbelError(error, 'CONNECTION')) throw error;
      }
    }
  }

  #terminate({ queue, id }: Termination): void {
    const reason = new RevokedError('The job was revoked while it ran.');
    this.#served.get(queue)?.claimer.giveUp(id, reason);
    for (const leaving of this.#leaving) if (leaving.queue === queue) leaving.claimer.giveUp(id, reason);
  }

  /** Of all that takes jobs, or still runs some. */
  #claimers(): Claimer[] {
    return [...this.#served.values(), ...this.#leaving].map(({ claimer }) => claimer);
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
      terminate: (job) => this.#terminate(job),
      warn,
    });
  }

  async #serve(queue: string, bounds: ConcurrencyBounds): Promise<void> {
    const { store, keepCompletedMs, keepFailedMs, warn } = this.#parts;
    const { lockDurationMs, fallback } = this.#options;
    const claimer = createClaimer(
      {
        ...store,
        queue,
        concurrency: bounds.min,
        workerName: this.name,
        lockDurationMs,
        keepCompletedMs,
        keepFailedMs,
        foreign: fallback,
        wake: (job) => this.#executor.wake(job),
        warn,
      },
      (job) => this.#activity.during(job, () => this.#executor.execute(job)),
    );
    this.#served.set(queue, { claimer, bounds });
    if (queue !== INTERNAL_QUEUE) await this.#reached(() => this.#parts.prepareQueue(queue));
    await claimer.start();
  }

  async #startHealthServer(): Promise<void> {
    const { health } = this.#options;
    if (health === undefined) return;
    const server = new HealthServer(() => this.health(), health.metrics);
    this.#stops.push(() => server.close());
    this.#healthPort = await server.listen(health.port, health.host);
  }

  /** Lets the concurrency of queues follow the load, if that of any is to. */
  #autoscale(): void {
    const hasBounds = [...this.#served.values()].some(({ bounds: { min, max } }) => min < max);
    if (this.#isAutoscaling || !hasBounds || this.#state !== 'running') return;
    this.#isAutoscaling = true;
    const meter = new EventLoopMeter();
    const timer = setInterval(() => {
      const load = meter.take();
      for (const [queue, { claimer, bounds }] of this.#served) {
        if (bounds.min === bounds.max) continue;
        const active = this.#activity.activeIn(queue);
        void claimer.setConcurrency(nextConcurrency(claimer.concurrency, bounds, { ...load, active }));
      }
    }, LOAD_MS);
    timer.unref();
    this.#stops.push(() => {
      clearInterval(timer);
      meter.stop();
    });
  }

  #newRepairer(): Repairer | undefined {
    const { repairIntervalMs } = this.#options;
    if (repairIntervalMs === undefined) return undefined;
    const { jobs, store, warn } = this.#parts;
    return new Repairer({
      store: jobs,
      queues: () => this.queues,
      intervalMs: repairIntervalMs,
      onRepaired: ({ started, lost, ended }) =>
        warn(
          `repaired jobs that waited for what would never come: ${started} started that waited for nothing, ${lost} ` +
            `gone from the store, ${ended} that had ended. Has something removed or evicted jobs?`,
        ),
      onError: store.onError,
    });
  }
}

/** Attempts for people, the first few of them. */
function listed(attempts: readonly ActiveAttempt[], now: number): string {
  const words = attempts
    .slice(0, 10)
    .map(({ task, id, startedAt }) => `${task} ${id} (${Math.round((now - startedAt.getTime()) / 1000)} s)`);
  const more = attempts.length > words.length ? ` and ${attempts.length - words.length} more` : '';
  const jobs = attempts.length === 1 ? 'a job that still runs' : `${attempts.length} jobs that still run`;
  return `${jobs}: ${words.join(', ')}${more}`;
}
