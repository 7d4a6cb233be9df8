/** What a worker tells of itself, and what it does when it is told to. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import type { BackendOptions } from '../bullmq/backends.js';
import type { Termination } from '../bullmq/control.js';
import type { RepairCounts } from '../bullmq/repair.js';
import type { Store } from '../bullmq/store.js';
import type { Clock } from '../clock.js';
import { ClosedError, UnknownQueueError } from '../errors.js';
import type { ActiveAttempt, AttemptCounts } from '../running/worker/activity.js';
import type { Concurrency } from '../running/worker/concurrency.js';
import type { NormalizedWorkerOptions } from '../running/worker/options.js';
import { checkInteger, checkQueue } from '../tasks/options.js';
import { VERSION } from '../version.js';
import { type WorkerConf, type WorkerStats, type Written, writtenAttempts } from './answers.js';
import { LONGEST_MS } from './control.js';
import type { OrderKind } from './order.js';
import { type Doing, OrderTaker } from './order-taker.js';
import { Presence } from './presence.js';
import type { RegisteredTask } from './registered.js';
import type { ServedQueue, WorkerIdentity } from './worker-record.js';

/** A worker as it is seen and directed from outside. */
export interface Directed {
  readonly name: string;
  readonly state: 'new' | 'starting' | 'running' | 'closing' | 'closed';
  readonly active: readonly ActiveAttempt[];
  readonly counts: AttemptCounts;
  readonly repairs: RepairCounts;
  readonly healthPort: number | undefined;
  readonly served: Readonly<Record<string, ServedQueue>>;
  setConcurrency(concurrency: Concurrency, queue?: string): Promise<void>;
  addQueue(queue: string, concurrency?: Concurrency): Promise<void>;
  removeQueue(queue: string): Promise<void>;
  shutDownByOrder(jobsTimeoutMs?: number): Promise<void>;
}

/** What is told of an app to who asks its workers. */
export interface AppFacts
  extends Pick<
    WorkerConf,
    'app' | 'prefix' | 'connection' | 'codecs' | 'resultTtlMs' | 'failureTtlMs' | 'sendTimeoutMs'
  > {
  readonly registered: () => readonly RegisteredTask[];
}

export interface WorkerControlOptions {
  readonly worker: Directed;
  readonly process: number | undefined;
  readonly options: NormalizedWorkerOptions;
  readonly facts: AppFacts;
  readonly store: Store;
  readonly backend: BackendOptions;
  readonly clock: Clock;
  readonly terminate: (job: Termination) => void;
  readonly warn: (message: string) => void;
}

export class WorkerControl {
  readonly #options: WorkerControlOptions;
  readonly #identity: WorkerIdentity;
  readonly #presence: Presence | undefined;
  #startedAt = 0;
  #orders: OrderTaker | undefined;
  #isStopped = false;
  #last: EventLoopUtilization = performance.eventLoopUtilization();

  constructor(options: WorkerControlOptions) {
    this.#options = options;
    const { worker, process: index, store, backend } = options;
    const { heartbeatMs } = options.options;
    this.#identity = {
      id: randomUUID(),
      name: worker.name,
      ...(index !== undefined && { process: index }),
      host: hostname(),
      pid: process.pid,
      version: VERSION,
    };
    this.#presence =
      heartbeatMs === undefined
        ? undefined
        : new Presence({
            store,
            identity: this.#identity,
            heartbeatMs,
            record: () => this.#record(heartbeatMs),
            onError: backend.onError,
          });
  }

  /** Takes orders from now on, and tells that the worker is about to come. */
  async start(): Promise<void> {
    const { store, backend, clock, terminate, warn } = this.#options;
    this.#startedAt = clock.now();
    const from = await this.#presence?.announce();
    if (this.#isStopped) return; // what takes orders now would never be closed
    const doings = this.#presence === undefined ? undefined : this.#doings(this.#presence);
    const { id } = this.#identity;
    this.#orders ??= new OrderTaker({ id, store, backend, clock, terminate, doings, warn }, from);
  }

  /** Lets the worker be seen, now that it takes jobs. */
  async begin(): Promise<void> {
    await this.#presence?.begin();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#presence?.stop();
    await this.#orders?.close();
  }

  #record(heartbeatMs: number) {
    const { worker, clock } = this.#options;
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#last);
    this.#last = now;
    return {
      startedAt: this.#startedAt,
      seenAt: clock.now(),
      heartbeatMs,
      lockDurationMs: this.#options.options.lockDurationMs,
      isClosing: worker.state === 'closing',
      queues: worker.served,
      utilization,
      rssBytes: process.memoryUsage.rss(),
    };
  }

  #doings(presence: Presence): Readonly<Record<OrderKind, Doing>> {
    const { worker, facts } = this.#options;
    const obeyed = async () => {
      await presence.beat(); // who looks next sees it
      return { queues: worker.served };
    };
    return {
      ping: () => ({}),
      active: () => writtenAttempts(worker.active),
      stats: () => this.#stats(),
      registered: () => facts.registered(),
      conf: () => this.#conf(),
      'set-concurrency': async ({ concurrency, queue }) => {
        const of = queue === undefined ? undefined : checkQueue('queue', queue as string);
        await worker.setConcurrency(concurrency as Concurrency, of); // which checks it
        return obeyed();
      },
      'add-queue': async ({ queue, concurrency }) => {
        if (worker.state !== 'running') throw new ClosedError(`The worker is ${worker.state}.`);
        await worker.addQueue(queue as string, concurrency as Concurrency | undefined); // which checks them
        return obeyed();
      },
      'cancel-queue': ({ queue }) => {
        const { served } = worker;
        if (typeof queue !== 'string' || !Object.hasOwn(served, queue))
          throw new UnknownQueueError(String(queue), Object.keys(served));
        void worker.removeQueue(queue).catch(this.#options.backend.onError);
        return obeyed();
      },
      shutdown: ({ jobsTimeoutMs }, afterwards) => {
        const limit = jobsTimeoutMs as number | undefined; // which is checked next
        if (limit !== undefined) checkInteger('jobsTimeout', limit, 0, LONGEST_MS);
        // The answer first: a worker without jobs is gone in no time.
        afterwards(() => void worker.shutDownByOrder(limit).catch(this.#options.backend.onError));
        return { active: worker.active.length };
      },
    };
  }

  #stats(): Written<WorkerStats> {
    const { worker, clock } = this.#options;
    const { utilization } = performance.eventLoopUtilization(this.#last);
    return {
      ...this.#identity,
      node: process.version,
      startedAt: this.#startedAt,
      uptimeMs: clock.now() - this.#startedAt,
      counts: worker.counts,
      active: worker.active.length,
      queues: worker.served,
      repairs: worker.repairs,
      load: utilization,
      rssBytes: process.memoryUsage.rss(),
      heapUsedBytes: process.memoryUsage().heapUsed,
    };
  }

  #conf(): WorkerConf {
    const { worker, options, facts } = this.#options;
    const { registered: _, ...app } = facts;
    return {
      ...app,
      lockDurationMs: options.lockDurationMs,
      shutdownTimeoutMs: options.shutdownTimeoutMs ?? null,
      heartbeatMs: options.heartbeatMs ?? null,
      repairIntervalMs: options.repairIntervalMs ?? null,
      maxJobs: options.maxJobs ?? null,
      maxMemoryBytes: options.maxMemoryBytes ?? null,
      maxLostStarts: options.maxLostStarts,
      healthPort: worker.healthPort ?? null,
      handlesSignals: options.handlesSignals,
      allowsEviction: options.allowsEviction,
      handlesForeignJobs: options.fallback !== undefined,
    };
  }
}
