import type { BackendOptions } from '../bullmq/backends.js';
import { type Claimer, createClaimer, type ForeignHandler } from '../bullmq/claim.js';
import { ControlListener, type ControlOrder } from '../bullmq/control.js';
import { NOTHING_REPAIRED, type RepairCounts } from '../bullmq/repair.js';
import { Repairer } from '../bullmq/repairer.js';
import type { Store } from '../bullmq/store.js';
import { type Duration, durationMs } from '../duration.js';
import {
  ChildProcessError,
  ClosedError,
  InvalidOptionError,
  isUmbelError,
  RevokedError,
  StoreConfigurationError,
} from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import { checkInteger, checkQueue, checkText } from '../tasks/options.js';
import type { Executor } from './execute.js';
import { ChildPool } from './isolated/child-pool.js';
import { isIsolatedChild } from './isolated/handlers.js';
import { MAX_LOST_STARTS } from './lost-starts.js';

export interface WorkerOptions {
  /** Queues to serve. Default: those of every task that has a handler in this process. */
  queues?: readonly string[];
  /** Jobs of one queue that run at the same time. Default 10. */
  concurrency?: number;
  /** Shown in the store beside the jobs this worker runs. Default: host name and process id. */
  name?: string;
  /** After this long without a sign of life, a worker's jobs run again elsewhere. Default 30 s, at least 1 s. */
  lockDuration?: Duration;
  /**
   * Handles jobs that another program has added to the same queues: it is given BullMQ's own `Job`, and what it gives
   * or throws is the job's outcome, by the job's own options. Without it such jobs go back to their queue, uncharged.
   */
  fallback?: ForeignHandler;
  /**
   * Starts also if the store evicts keys when its memory is full (`maxmemory-policy` other than `noeviction`), and so
   * loses jobs. Default false.
   */
  allowEviction?: boolean;
  /**
   * How often a job may lose its worker within ten minutes: it is failed with a `PoisonJobError` then, since its handler is
   * taken to be why. Default 3. More where workers are killed often, and handlers run long.
   */
  maxLostStarts?: number;
  /**
   * How often it is looked for jobs that wait for what will never come, to put them right: by one of all workers, in
   * steps of 100 waiting jobs a queue. Default 1 min, at least 1 s; `false` for never.
   */
  repairInterval?: Duration | false;
  /**
   * Whether the schedules that this program declares are stored when the worker starts, as by `app.schedules.sync()`.
   * Default true. Every worker fires the slots of those that are stored, whatever this says.
   */
  schedules?: boolean;
}

/** Takes jobs and runs their handlers. */
export interface AppWorker {
  readonly queues: readonly string[];
  /** What this worker has repaired since it was started: anything but zeros deserves a look at the store. */
  readonly repairs: RepairCounts;
  /**
   * Connects and begins to take jobs. Gives the worker itself, once it is connected; waits for a store that cannot be
   * reached, telling the app's logger why, since workers are often started before it.
   * @throws {ClosedError} if the worker was closed before.
   * @throws {StoreConfigurationError} if the store evicts keys, unless `allowEviction` is set.
   * @throws {ScheduleError} if a schedule that this program declares has an input that does not fit.
   */
  start(): Promise<AppWorker>;
  /** Takes no more jobs, waits for those that run, and disconnects. With `force`, does not wait. */
  close(options?: { force?: boolean }): Promise<void>;
}

/** Enough for the bookkeeping of several hundred runs at a time; these jobs only read and write the store. */
const INTERNAL_CONCURRENCY = 50;

/** What a worker is given by its app. */
export interface WorkerParts {
  readonly store: BackendOptions;
  readonly jobs: Store;
  readonly executor: Executor;
  readonly defaultQueues: () => string[];
  /** @throws {UnknownQueueError} */
  readonly checkQueue: (queue: string) => void;
  /** Applies the settings of a queue as a whole. */
  readonly prepareQueue: (queue: string) => Promise<void>;
  /** Stores the schedules that this program declares. */
  readonly syncSchedules: () => Promise<void>;
  readonly defaultName: string;
  readonly keepCompletedMs: number;
  readonly keepFailedMs: number;
  readonly warn: (message: string) => void;
  readonly onClose: (worker: AppWorker) => void;
}

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export class QueueWorker implements AppWorker {
  readonly #queues: readonly string[] | undefined;
  readonly #options: {
    concurrency: number;
    name: string;
    lockDurationMs: number;
    allowEviction: boolean;
    schedules: boolean;
  };
  readonly #parts: WorkerParts;
  readonly #fallback: ForeignHandler | undefined;
  readonly #claimers = new Map<string, Claimer>();
  readonly #children: ChildPool;
  readonly #executor: Executor;
  readonly #repairer: Repairer | undefined;
  #control: ControlListener | undefined;
  #started: Promise<AppWorker> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: WorkerOptions, parts: WorkerParts) {
    const lockDurationMs = durationMs(options.lockDuration ?? '30s', 'lockDuration');
    this.#parts = parts;
    this.#options = {
      concurrency: checkInteger('concurrency', options.concurrency ?? 10, 1, 100_000),
      name: checkText('name', options.name ?? parts.defaultName, 200),
      lockDurationMs: checkInteger('lockDuration', lockDurationMs, 1000, 86_400_000),
      allowEviction: options.allowEviction ?? false,
      schedules: options.schedules ?? true,
    };
    this.#repairer = repairerOf(options.repairInterval ?? '1m', () => this.queues, parts);
    this.#children = new ChildPool(this.#options.concurrency);
    this.#executor = parts.executor.forWorker({
      children: this.#children,
      maxLostStarts: checkInteger('maxLostStarts', options.maxLostStarts ?? MAX_LOST_STARTS, 1, 1_000_000),
    });
    this.#queues = options.queues?.map((queue) => checkQueue('queues', queue));
    this.#fallback = options.fallback;
    if (this.#fallback !== undefined && typeof this.#fallback !== 'function') {
      throw new InvalidOptionError('fallback', 'a function', this.#fallback);
    }
  }

  get queues(): readonly string[] {
    return [...new Set(this.#queues ?? this.#parts.defaultQueues())];
  }

  get repairs(): RepairCounts {
    return this.#repairer?.total ?? NOTHING_REPAIRED;
  }

  start(): Promise<AppWorker> {
    this.#started ??= this.#start();
    return this.#started;
  }

  /** Serves one more queue from now on. */
  async addQueue(queue: string): Promise<void> {
    await this.#serve(queue, this.#options.concurrency);
  }

  async close({ force = false }: { force?: boolean } = {}): Promise<void> {
    this.#closing ??= this.#close(force);
    if (!force) return this.#closing;
    await Promise.all([...this.#claimers.values()].map((claimer) => claimer.close(true)));
    await this.#children.close(true);
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
    const { queues } = this;
    if (queues.length === 0) {
      this.#parts.warn(
        'a worker was started that serves no queue: import the modules that define its tasks before it is started',
      );
    }
    for (const queue of queues) this.#parts.checkQueue(queue);
    await this.#reached(() => this.#checkStore());
    if (this.#options.schedules) await this.#reached(() => this.#parts.syncSchedules());
    this.#control = new ControlListener(this.#parts.store, (order) => this.#obey(order));
    await Promise.all([
      ...queues.map((queue) => this.#serve(queue, this.#options.concurrency)),
      this.#serve(INTERNAL_QUEUE, INTERNAL_CONCURRENCY),
    ]);
    if (this.#closing === undefined) this.#repairer?.start();
    return this;
  }

  async #close(force: boolean): Promise<void> {
    try {
      await this.#repairer?.stop();
      await Promise.all([...this.#claimers.values()].map((claimer) => claimer.close(force)));
      await this.#control?.close();
    } finally {
      await this.#children.close(force);
      this.#parts.onClose(this);
    }
  }

  /** W20: refuses a store that evicts keys. */
  async #checkStore(): Promise<void> {
    const { evictionPolicy = 'noeviction' } = (await this.#parts.jobs.facts()) ?? {};
    if (evictionPolicy === 'noeviction' || this.#options.allowEviction) return;
    throw new StoreConfigurationError(
      `The store evicts keys when its memory is full (maxmemory-policy ${evictionPolicy}), and so would lose jobs. ` +
        'Set its maxmemory-policy to noeviction; or, if a lost job is no loss, start with app.worker({ allowEviction: true }).',
    );
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

  #obey(order: ControlOrder): void {
    const reason = new RevokedError('The job was revoked while it ran.');
    this.#claimers.get(order.queue)?.giveUp(order.id, reason);
  }

  async #serve(queue: string, concurrency: number): Promise<void> {
    const { store, keepCompletedMs, keepFailedMs, warn } = this.#parts;
    const { name, lockDurationMs } = this.#options;
    const claimer = createClaimer(
      {
        ...store,
        queue,
        concurrency,
        workerName: name,
        lockDurationMs,
        keepCompletedMs,
        keepFailedMs,
        foreign: this.#fallback,
        wake: (job) => this.#executor.wake(job),
        warn,
      },
      (job) => this.#executor.execute(job),
    );
    this.#claimers.set(queue, claimer);
    if (queue !== INTERNAL_QUEUE) await this.#reached(() => this.#parts.prepareQueue(queue));
    await claimer.start();
  }
}

function repairerOf(
  interval: Duration | false,
  queues: () => readonly string[],
  { jobs, store, warn }: WorkerParts,
): Repairer | undefined {
  if (interval === false) return undefined;
  const intervalMs = checkInteger('repairInterval', durationMs(interval, 'repairInterval'), 1000, 86_400_000);
  return new Repairer({
    store: jobs,
    queues,
    intervalMs,
    onRepaired: ({ started, lost, ended }) =>
      warn(
        `repaired jobs that waited for what would never come: ${started} started that waited for nothing, ${lost} ` +
          `gone from the store, ${ended} that had ended. Has something removed or evicted jobs?`,
      ),
    onError: store.onError,
  });
}
