import { type Claimer, createClaimer } from './bullmq/claim.js';
import type { StoreOptions } from './bullmq/store.js';
import { type Duration, durationMs } from './duration.js';
import type { Executor } from './execute.js';
import { INTERNAL_QUEUE } from './flow/node.js';
import { checkInteger, checkName } from './options.js';

export interface WorkerOptions {
  /** Queues to serve. Default: those of every task that has a handler in this process. */
  queues?: readonly string[];
  /** Jobs of one queue that run at the same time. Default 10. */
  concurrency?: number;
  /** Shown in the store beside the jobs this worker runs. Default: host name and process id. */
  name?: string;
  /** After this long without a sign of life, a worker's jobs run again elsewhere. Default 30 s, at least 1 s. */
  lockDuration?: Duration;
}

/** Takes jobs and runs their handlers. */
export interface AppWorker {
  readonly queues: readonly string[];
  /**
   * Connects and begins to take jobs. Gives the worker itself, once it is connected; waits for a store that cannot be
   * reached, telling the app's logger why, since workers are often started before it.
   */
  start(): Promise<AppWorker>;
  /** Takes no more jobs, waits for those that run, and disconnects. With `force`, does not wait. */
  close(options?: { force?: boolean }): Promise<void>;
}

/** Enough for the bookkeeping of several hundred runs at a time; these jobs only read and write the store. */
const INTERNAL_CONCURRENCY = 50;

/** What a worker is given by its app. */
export interface WorkerParts {
  readonly store: StoreOptions;
  readonly executor: Executor;
  readonly defaultQueues: () => string[];
  readonly defaultName: string;
  readonly keepCompletedMs: number;
  readonly keepFailedMs: number;
  readonly onClose: (worker: AppWorker) => void;
}

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export class QueueWorker implements AppWorker {
  readonly queues: readonly string[];
  readonly #options: { concurrency: number; name: string; lockDurationMs: number };
  readonly #parts: WorkerParts;
  #claimers: Claimer[] = [];

  constructor(options: WorkerOptions, parts: WorkerParts) {
    const lockDurationMs = durationMs(options.lockDuration ?? '30s', 'lockDuration');
    this.#parts = parts;
    this.#options = {
      concurrency: checkInteger('concurrency', options.concurrency ?? 10, 1, 100_000),
      name: options.name ?? parts.defaultName,
      lockDurationMs: checkInteger('lockDuration', lockDurationMs, 1000, 86_400_000),
    };
    this.queues = [...new Set(options.queues ?? parts.defaultQueues())].map((queue) =>
      checkName('queues', queue),
    );
  }

  async start(): Promise<AppWorker> {
    if (this.#claimers.length > 0) return this;
    this.#claimers = [
      ...this.queues.map((queue) => this.#claimer(queue, this.#options.concurrency)),
      this.#claimer(INTERNAL_QUEUE, INTERNAL_CONCURRENCY),
    ];
    await Promise.all(this.#claimers.map((claimer) => claimer.start()));
    return this;
  }

  /** Serves one more queue from now on. */
  async addQueue(queue: string): Promise<void> {
    const claimer = this.#claimer(queue, this.#options.concurrency);
    this.#claimers.push(claimer);
    await claimer.start();
  }

  async close({ force = false }: { force?: boolean } = {}): Promise<void> {
    const claimers = this.#claimers;
    this.#claimers = [];
    await Promise.all(claimers.map((claimer) => claimer.close(force)));
    this.#parts.onClose(this);
  }

  #claimer(queue: string, concurrency: number): Claimer {
    const { store, executor, keepCompletedMs, keepFailedMs } = this.#parts;
    const { name, lockDurationMs } = this.#options;
    return createClaimer(
      { ...store, queue, concurrency, workerName: name, lockDurationMs, keepCompletedMs, keepFailedMs },
      (job) => executor.execute(job),
    );
  }
}
