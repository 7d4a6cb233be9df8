/**
 * A worker whose code is loaded when it is started, or asked for anything that it has to do: programs that only send have
 * the same modules as those that work, and are not to wait for what they do not use.
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
  /** Those that it would serve if it were started now. */
  readonly queues: () => readonly string[];
  readonly load: () => Promise<AppWorker>;
  /** Called when it is closed before any of its code was asked for. */
  readonly onClose: () => void;
}

export class LazyWorker implements AppWorker {
  readonly name: string;
  readonly isSupervisor: boolean;
  readonly processIndex: number | undefined;
  readonly closed: Promise<CloseReason>;
  readonly #parts: LazyWorkerOptions;
  #loading: Promise<AppWorker> | undefined;
  #worker: AppWorker | undefined;
  /** What it was asked for, while its code is loaded. */
  #asked: 'new' | 'starting' | 'closing' | 'closed' = 'new';
  #tellClosed: (reason: CloseReason) => void = () => {};

  constructor(parts: LazyWorkerOptions) {
    this.#parts = parts;
    this.name = parts.name;
    this.isSupervisor = parts.isSupervisor;
    this.processIndex = parts.processIndex;
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
  }

  get queues(): readonly string[] {
    return this.#worker?.queues ?? this.#parts.queues();
  }

  get state(): AppWorker['state'] {
    const state = this.#worker?.state;
    if (state === undefined || (this.#asked === 'closing' && state !== 'closed')) return this.#asked;
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
    if (this.#asked === 'new') this.#asked = 'starting';
    await (await this.load()).start();
    return this;
  }

  async health(): Promise<WorkerHealth> {
    if (this.#asked === 'closed') return { live: false, ready: false, reasons: ['the worker is closed'] };
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
    if (this.#asked !== 'closed') this.#asked = 'closing';
    // What was asked of it before reaches the worker before this does, which then ends it.
    const worker = await this.#loading.catch(() => undefined);
    if (worker === undefined) this.#closeUnloaded();
    else await worker.close(options);
  }

  /** The worker itself, from now on. */
  load(): Promise<AppWorker> {
    if (this.#asked === 'closed') return Promise.reject(workerClosed());
    this.#loading ??= this.#parts.load().then((worker) => {
      this.#worker = worker;
      void worker.closed.then(this.#tellClosed);
      return worker;
    });
    return this.#loading;
  }

  #closeUnloaded(): void {
    if (this.#asked === 'closed') return;
    this.#asked = 'closed';
    this.#parts.onClose();
    this.#tellClosed('closed');
  }
}

refuseUnbound(LazyWorker, 'worker');

// A worker in a process that was started for another worker of the same program: it runs there, and not here.

export class NoopWorker implements AppWorker {
  readonly isSupervisor = false;
  readonly processIndex = undefined;
  readonly queues: readonly string[] = [];
  readonly active = [];
  readonly concurrency = {};
  readonly counts = NO_ATTEMPTS;
  readonly repairs = NOTHING_REPAIRED;
  readonly healthPort = undefined;
  /** It does not end before its process does. */
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
