/**
 * A worker that loads its code when it is started or one of its methods needs it. `app.worker()` returns it: programs that
 * only send import the same modules as workers, and should not load worker code.
 */

import type { ActiveAttempt, AttemptCounts } from '../control/answers.js';
import { NOTHING_REPAIRED, type RepairCounts } from '../store/repair.js';
import type { Concurrency } from '../task/option-checks.js';
import { refuseUnbound } from '../task/signature.js';
import { NO_ATTEMPTS } from './activity.js';
import {
  type AppWorker,
  type CloseOptions,
  type CloseReason,
  checkClose,
  workerClosed,
} from './app-worker.js';
import type { WorkerHealth } from './health.js';

export interface LazyWorkerOptions {
  readonly name: string;
  readonly isSupervisor: boolean;
  readonly processIndex: number | undefined;
  /** The queues that the worker would serve if it started now. */
  readonly queues: () => readonly string[];
  readonly load: () => Promise<AppWorker>;
  /** Called when the worker is closed before its code was loaded. */
  readonly onClose: () => void;
}

export class LazyWorker implements AppWorker {
  readonly name: string;
  readonly isSupervisor: boolean;
  readonly processIndex: number | undefined;
  readonly closed: Promise<CloseReason>;
  readonly #options: LazyWorkerOptions;
  #loading: Promise<AppWorker> | undefined;
  #worker: AppWorker | undefined;
  /** The state while the code is not loaded yet. */
  #requestedState: 'new' | 'starting' | 'closing' | 'closed' = 'new';
  #resolveClosed: (reason: CloseReason) => void = () => {};

  constructor(options: LazyWorkerOptions) {
    this.#options = options;
    this.name = options.name;
    this.isSupervisor = options.isSupervisor;
    this.processIndex = options.processIndex;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  get queues(): readonly string[] {
    return this.#worker?.queues ?? this.#options.queues();
  }

  get state(): AppWorker['state'] {
    const state = this.#worker?.state;
    if (state === undefined || (this.#requestedState === 'closing' && state !== 'closed'))
      return this.#requestedState;
    return state;
  }

  get active(): readonly ActiveAttempt[] {
    return this.#worker?.active ?? [];
  }

  get concurrency(): Readonly<Record<string, number>> {
    return this.#worker?.concurrency ?? {};
  }

  get counts(): AttemptCounts {
    return this.#worker?.counts ?? NO_ATTEMPTS;
  }

  get repairs(): RepairCounts {
    return this.#worker?.repairs ?? NOTHING_REPAIRED;
  }

  get healthPort(): number | undefined {
    return this.#worker?.healthPort;
  }

  async start(): Promise<AppWorker> {
    if (this.#requestedState === 'new') this.#requestedState = 'starting';
    await (await this.load()).start();
    return this;
  }

  async health(): Promise<WorkerHealth> {
    if (this.#requestedState === 'closed')
      return { live: false, ready: false, reasons: ['the worker is closed'] };
    return (await this.load()).health();
  }

  async setConcurrency(concurrency: Concurrency, queue?: string): Promise<void> {
    await (await this.load()).setConcurrency(concurrency, queue);
  }

  async addQueue(queue: string, concurrency?: Concurrency): Promise<void> {
    await (await this.load()).addQueue(queue, concurrency);
  }

  async removeQueue(queue: string): Promise<void> {
    await (await this.load()).removeQueue(queue);
  }

  async close(options: CloseOptions = {}): Promise<void> {
    checkClose(options);
    if (this.#loading === undefined) return this.#closeUnloaded();
    if (this.#requestedState !== 'closed') this.#requestedState = 'closing';
    // Calls made before this one reach the worker first.
    const worker = await this.#loading.catch(() => undefined);
    if (worker === undefined) this.#closeUnloaded();
    else await worker.close(options);
  }

  /** Loads the code once and returns the real worker. */
  load(): Promise<AppWorker> {
    if (this.#requestedState === 'closed') return Promise.reject(workerClosed());
    this.#loading ??= this.#options.load().then((worker) => {
      this.#worker = worker;
      void worker.closed.then(this.#resolveClosed);
      return worker;
    });
    return this.#loading;
  }

  #closeUnloaded(): void {
    if (this.#requestedState === 'closed') return;
    this.#requestedState = 'closed';
    this.#options.onClose();
    this.#resolveClosed('closed');
  }
}

refuseUnbound(LazyWorker, 'worker');

/** A worker that does nothing: in a child process that a supervisor started for another worker of the same program. */
export class NoopWorker implements AppWorker {
  readonly isSupervisor = false;
  readonly processIndex = undefined;
  readonly queues: readonly string[] = [];
  readonly active = [];
  readonly concurrency = {};
  readonly counts = NO_ATTEMPTS;
  readonly repairs = NOTHING_REPAIRED;
  readonly healthPort = undefined;
  /** Never resolves: this worker ends with its process. */
  readonly closed = new Promise<CloseReason>(() => {});
  readonly state = 'new';

  constructor(readonly name: string) {}

  async start(): Promise<AppWorker> {
    return this;
  }

  async health(): Promise<WorkerHealth> {
    return { live: true, ready: false, reasons: ['the worker runs in other processes'] };
  }

  async setConcurrency(): Promise<void> {}

  async addQueue(): Promise<void> {}

  async removeQueue(): Promise<void> {}

  async close(): Promise<void> {}
}
