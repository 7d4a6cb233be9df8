/**
 * The control side of a worker: reads control messages from the store, runs them and replies. `WorkerControl` connects a
 * worker to it and stores the worker's record. A message runs at most once.
 */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
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
  writeAttempts,
} from '../control/answers.js';
import { MAX_ANSWER_BYTES } from '../control/ask.js';
import { LONGEST_MS } from '../control/control.js';
import type { RegisteredTask } from '../control/inspect.js';
import {
  type ControlMessage,
  type ControlMessageKind,
  type Fields,
  MAX_WAIT_MS,
  readMessage,
} from '../control/messages.js';
import type { ServedQueue, WorkerIdentity } from '../control/worker-record.js';
import { Presence } from '../control/worker-record.js';
import { messageReader, publishReply, type Termination } from '../store/control-queue.js';
import type { EventFields, EventReader } from '../store/events.js';
import type { BackendOptions } from '../store/queue-pool.js';
import type { RepairCounts } from '../store/repair.js';
import type { Store } from '../store/store.js';
import { type Concurrency, checkQueue } from '../task/option-checks.js';
import { EventLoopMeter } from './health.js';
import type { NormalizedWorkerOptions } from './options.js';

/** Runs a control message and returns the reply as plain data. `afterwards` registers a function to run after the reply. */
export type ControlHandler = (args: Fields, afterwards: (run: () => void) => void) => unknown;

export interface ControlEndpointOptions {
  /** Id of the worker. */
  readonly id: string;
  readonly store: Store;
  readonly backend: BackendOptions;
  readonly clock: Clock;
  readonly terminate: (job: Termination) => void;
  /** Undefined for a worker that accepts only terminations. */
  readonly handlers: Readonly<Record<ControlMessageKind, ControlHandler>> | undefined;
  readonly warn: (message: string) => void;
}

/** Clock difference that is tolerated between the sender of a message and the worker. */
const GRACE_MS = 2000;
const KEPT_IDS = 1000;
/** Maximum number of messages that run at the same time. */
const MAX_RUNNING = 100;
const REPLY_MS = 5000;

/** Reads the control messages of one worker, runs and answers them, until it is closed. */
export class ControlEndpoint {
  readonly #options: ControlEndpointOptions;
  readonly #reader: EventReader;
  /** Ids of messages that were run. The sender writes a message twice if the reply of the store was lost. */
  readonly #seenIds = new Set<string>();
  readonly #warned = new Set<string>();
  readonly #running = new Set<Promise<void>>();

  /** @param from Stream position to read from; undefined reads only new messages. */
  constructor(options: ControlEndpointOptions, from: string | undefined) {
    this.#options = options;
    const { backend, terminate } = options;
    this.#reader = messageReader(backend, from, { terminate, message: (fields) => this.#receive(fields) });
  }

  /** Resolves when all running messages are answered: a later reply would open the connection again. */
  async close(): Promise<void> {
    await this.#reader.close();
    await Promise.all(this.#running);
  }

  #receive(fields: EventFields): void {
    const { id, handlers } = this.#options;
    if (handlers === undefined) return;
    const message = readMessage(fields);
    if (typeof message === 'string') this.#ignore(message);
    else if (message.to === undefined || message.to.has(id)) this.#accept(message, handlers);
  }

  #accept(message: ControlMessage, handlers: Readonly<Record<ControlMessageKind, ControlHandler>>): void {
    if (this.#seenIds.has(message.id)) return;
    const reason = this.#reasonToIgnore(message);
    if (reason !== undefined) {
      this.#ignore(reason);
      return;
    }
    this.#seenIds.add(message.id);
    for (const oldest of this.#seenIds) if (this.#seenIds.size > KEPT_IDS) this.#seenIds.delete(oldest);
    const running = this.#run(message, handlers[message.kind]);
    this.#running.add(running);
    void running.then(() => this.#running.delete(running));
  }

  #reasonToIgnore({ until }: ControlMessage): string | undefined {
    const remainingMs = until - this.#options.clock.now();
    if (remainingMs > MAX_WAIT_MS + GRACE_MS) return 'its deadline is too far ahead (clock skew?)';
    // The sender has reported this worker as missing by now, and may have acted on that.
    if (remainingMs < -GRACE_MS) return 'its deadline has passed';
    return this.#running.size >= MAX_RUNNING ? `${MAX_RUNNING} others are still running` : undefined;
  }

  async #run(message: ControlMessage, handler: ControlHandler): Promise<void> {
    const { store, id } = this.#options;
    let runAfterwards = () => {};
    const answer = await answerOf(message, (args) =>
      handler(args, (afterwards) => {
        runAfterwards = afterwards;
      }),
    );
    try {
      await publishReply(store, { to: message.id, from: id, answer }, REPLY_MS);
    } catch {
      // The sender reports this worker as missing; the connection logs an outage of the store.
    }
    runAfterwards();
  }

  /** Logs each reason once: thousands of messages may be ignored. */
  #ignore(reason: string): void {
    if (this.#warned.has(reason)) return;
    this.#warned.add(reason);
    this.#options.warn(`ignored a control message: ${reason}`);
  }
}

async function answerOf({ args }: ControlMessage, handler: (args: Fields) => unknown): Promise<string> {
  try {
    const answer = JSON.stringify({ ok: await handler(args) });
    const bytes = Buffer.byteLength(answer);
    if (bytes <= MAX_ANSWER_BYTES) return answer;
    return failure(`its answer has ${bytes} bytes, more than the maximum of ${MAX_ANSWER_BYTES}`);
  } catch (error) {
    // Messages of Umbel's errors are safe to send; other messages may contain any data.
    return failure(isUmbelError(error) ? error.message : 'an error in the worker');
  }
}

function failure(error: string): string {
  return JSON.stringify({ error: error.slice(0, 2000) });
}

/** The part of a worker that control messages read and change. */
export interface ControlledWorker {
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
  shutDownByControl(jobsTimeoutMs?: number): Promise<void>;
}

/** Facts about the app that its workers send to `app.inspect`. */
export interface AppFacts
  extends Pick<
    WorkerConf,
    'app' | 'prefix' | 'connection' | 'codecs' | 'resultTtlMs' | 'failureTtlMs' | 'sendTimeoutMs'
  > {
  readonly registered: () => readonly RegisteredTask[];
}

export interface WorkerControlOptions {
  readonly worker: ControlledWorker;
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
  #endpoint: ControlEndpoint | undefined;
  #isStopped = false;
  /** Coarse, because it looks at the event loop of a worker without jobs too. */
  readonly #meter = new EventLoopMeter(100);

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

  /** Starts to read control messages, and announces the worker. */
  async start(): Promise<void> {
    const { store, backend, clock, terminate, warn } = this.#options;
    this.#startedAt = clock.now();
    const from = await this.#presence?.announce();
    if (this.#isStopped) return; // an endpoint created now would never be closed
    const handlers = this.#presence === undefined ? undefined : this.#handlers(this.#presence);
    const { id } = this.#identity;
    this.#endpoint ??= new ControlEndpoint({ id, store, backend, clock, terminate, handlers, warn }, from);
  }

  /** Stores the worker's record, now that it takes jobs. */
  async begin(): Promise<void> {
    await this.#presence?.begin();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#meter.stop();
    await this.#presence?.stop();
    await this.#endpoint?.close();
  }

  #record(heartbeatMs: number) {
    const { worker, clock } = this.#options;
    const { utilization, delayMs } = this.#meter.take();
    return {
      startedAt: this.#startedAt,
      seenAt: clock.now(),
      heartbeatMs,
      lockDurationMs: this.#options.options.lockDurationMs,
      isClosing: worker.state === 'closing',
      queues: worker.served,
      utilization,
      delayMs: Math.round(delayMs),
      rssBytes: process.memoryUsage.rss(),
    };
  }

  #handlers(presence: Presence): Readonly<Record<ControlMessageKind, ControlHandler>> {
    const { worker, facts } = this.#options;
    const changed = async () => {
      await presence.beat(); // the next reader of the record sees the change
      return { queues: worker.served };
    };
    return {
      ping: () => ({}),
      active: () => writeAttempts(worker.active),
      stats: () => this.#stats(),
      registered: () => facts.registered(),
      conf: () => this.#conf(),
      'set-concurrency': async ({ concurrency, queue }) => {
        const checked = queue === undefined ? undefined : checkQueue('queue', queue as string);
        await worker.setConcurrency(concurrency as Concurrency, checked); // which checks the concurrency
        return changed();
      },
      'add-queue': async ({ queue, concurrency }) => {
        if (worker.state !== 'running') throw new ClosedError(`The worker is ${worker.state}.`);
        await worker.addQueue(queue as string, concurrency as Concurrency | undefined); // which checks them
        return changed();
      },
      'cancel-queue': ({ queue }) => {
        const { served } = worker;
        if (typeof queue !== 'string' || !Object.hasOwn(served, queue))
          throw new UnknownQueueError(String(queue), Object.keys(served));
        void worker.removeQueue(queue).catch(this.#options.backend.onError);
        return changed();
      },
      shutdown: ({ jobsTimeoutMs }, afterwards) => {
        const limit = jobsTimeoutMs as number | undefined; // checked below
        if (limit !== undefined) checkInteger('jobsTimeout', limit, 0, LONGEST_MS);
        // The answer first: a worker without jobs ends at once.
        afterwards(() => void worker.shutDownByControl(limit).catch(this.#options.backend.onError));
        return { active: worker.active.length };
      },
    };
  }

  #stats(): Written<WorkerStats> {
    const { worker, clock } = this.#options;
    return {
      ...this.#identity,
      node: process.version,
      startedAt: this.#startedAt,
      uptimeMs: clock.now() - this.#startedAt,
      counts: worker.counts,
      active: worker.active.length,
      queues: worker.served,
      repairs: worker.repairs,
      load: this.#meter.utilization,
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
