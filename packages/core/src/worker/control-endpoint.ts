import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import { ClosedError, isUmbelError, UnknownQueueError } from '../base/errors.js';
import { checkInteger } from '../base/option-checks.js';
import type { Clock } from '../base/time.js';
import { VERSION } from '../base/version.js';
import {
  type ActiveAttempt,
  type AttemptCounts,
  type WorkerConf,
  type WorkerStats,
  type Written,
  writtenAttempts,
} from '../control/answers.js';
import { MAX_ANSWER_BYTES } from '../control/ask.js';
import { LONGEST_MS } from '../control/control.js';
import type { RegisteredTask } from '../control/inspect.js';
import { type Fields, MAX_WAIT_MS, type Order, type OrderKind, readOrder } from '../control/messages.js';
import { Presence } from '../control/presence.js';
import type { ServedQueue, WorkerIdentity } from '../control/worker-record.js';
import { orderReader, publishReply, type Termination } from '../store/control-queue.js';
import type { EventFields, EventReader } from '../store/events.js';
import type { BackendOptions } from '../store/queue-pool.js';
import type { RepairCounts } from '../store/repair.js';
import type { Store } from '../store/store.js';
import { type Concurrency, checkQueue } from '../task/option-checks.js';
import type { NormalizedWorkerOptions } from './options.js';

/** What a worker does about an order; gives what it answers, as plain data. `afterwards` runs once it has answered. */
export type ControlHandler = (args: Fields, afterwards: (run: () => void) => void) => unknown;

export interface ControlEndpointOptions {
  /** Of the worker. */
  readonly id: string;
  readonly store: Store;
  readonly backend: BackendOptions;
  readonly clock: Clock;
  readonly terminate: (job: Termination) => void;
  /** Undefined for a worker that takes no orders. */
  readonly doings: Readonly<Record<OrderKind, ControlHandler>> | undefined;
  readonly warn: (message: string) => void;
}

/** Clocks of machines may differ by as much, of the asker's and of the worker's each. */
const GRACE_MS = 2000;
const KEPT_IDS = 1000;
/** Orders that are obeyed at a time. */
const MAX_UNDER_WAY = 100;
const REPLY_MS = 5000;

/** Obeys what one worker is told, and answers, until it is closed. */
export class ControlEndpoint {
  readonly #options: ControlEndpointOptions;
  readonly #reader: EventReader;
  /** An order may be written twice where it was not known whether the store had taken it. */
  readonly #obeyed = new Set<string>();
  readonly #warned = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();

  /** @param from The position from which on orders are read; undefined: from now on. */
  constructor(options: ControlEndpointOptions, from: string | undefined) {
    this.#options = options;
    const { backend, terminate } = options;
    this.#reader = orderReader(backend, from, { terminate, order: (fields) => this.#take(fields) });
  }

  /** Settles when all that was ordered has been answered: a later answer would open the connection again. */
  async close(): Promise<void> {
    await this.#reader.close();
    await Promise.all(this.#underWay);
  }

  #take(fields: EventFields): void {
    const { id, doings } = this.#options;
    if (doings === undefined) return;
    const order = readOrder(fields);
    if (typeof order === 'string') this.#ignore(order);
    else if (order.to === undefined || order.to.has(id)) this.#takeOwn(order, doings);
  }

  #takeOwn(order: Order, doings: Readonly<Record<OrderKind, ControlHandler>>): void {
    if (this.#obeyed.has(order.id)) return;
    const reason = this.#reasonAgainst(order);
    if (reason !== undefined) {
      this.#ignore(reason);
      return;
    }
    this.#obeyed.add(order.id);
    for (const oldest of this.#obeyed) if (this.#obeyed.size > KEPT_IDS) this.#obeyed.delete(oldest);
    const obeying = this.#obey(order, doings[order.kind]);
    this.#underWay.add(obeying);
    void obeying.then(() => this.#underWay.delete(obeying));
  }

  #reasonAgainst({ until }: Order): string | undefined {
    const leftMs = until - this.#options.clock.now();
    if (leftMs > MAX_WAIT_MS + GRACE_MS) return 'it is from the future';
    // Whoever gave it has been told that this worker is missing, and may have done something else.
    if (leftMs < -GRACE_MS) return 'it came too late';
    return this.#underWay.size >= MAX_UNDER_WAY ? 'too many come at a time' : undefined;
  }

  async #obey(order: Order, does: ControlHandler): Promise<void> {
    const { store, id } = this.#options;
    let run = () => {};
    const answer = await answerOf(order, (args) =>
      does(args, (later) => {
        run = later;
      }),
    );
    try {
      await publishReply(store, { to: order.id, from: id, answer }, REPLY_MS);
    } catch {
      // The asker finds this worker missing; of a store that is away, its connections tell.
    }
    run();
  }

  /** Tells once why orders are ignored: they may come by the thousand. */
  #ignore(reason: string): void {
    if (this.#warned.has(reason)) return;
    this.#warned.add(reason);
    this.#options.warn(`an order to workers was ignored: ${reason}`);
  }
}

async function answerOf({ args }: Order, does: (args: Fields) => unknown): Promise<string> {
  try {
    const answer = JSON.stringify({ ok: await does(args) });
    const bytes = Buffer.byteLength(answer);
    if (bytes <= MAX_ANSWER_BYTES) return answer;
    return failure(`its answer takes ${bytes} bytes, more than ${MAX_ANSWER_BYTES}`);
  } catch (error) {
    // Its words are ours where the order was at fault; others may hold anything.
    return failure(isUmbelError(error) ? error.message : 'an error in the worker');
  }
}

function failure(error: string): string {
  return JSON.stringify({ error: error.slice(0, 2000) });
}

// What a worker tells of itself, and what it does when it is told to.

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
  #orders: ControlEndpoint | undefined;
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
    this.#orders ??= new ControlEndpoint({ id, store, backend, clock, terminate, doings, warn }, from);
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

  #doings(presence: Presence): Readonly<Record<OrderKind, ControlHandler>> {
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
      handlesForeignJobs: options.onForeignJob !== undefined,
    };
  }
}
