/** The queues that a worker takes jobs from, each at its own concurrency. */

import { RevokedError, SkippedError, UnknownQueueError, WorkerClosedError } from '../base/errors.js';
import { clearInterval, clearTimeout, setInterval, setTimeout } from '../base/real-timers.js';
import type { ServedQueue } from '../control/worker-record.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { createConsumer, type QueueConsumer } from '../store/consumer.js';
import type { Termination } from '../store/control-queue.js';
import type { Retention } from '../store/retention.js';
import type { ConcurrencyBounds } from '../task/option-checks.js';
import type { Activity } from './activity.js';
import { workerClosed } from './app-worker.js';
import type { Executor } from './executor.js';
import type { HealthFacts } from './health.js';
import { EventLoopMeter } from './health.js';
import type { NormalizedWorkerOptions } from './options.js';
import { nextConcurrency } from './options.js';
import type { WorkerParts } from './parts.js';
import { spareStart } from './poison.js';

/** From one look at the load to the next. */
const LOAD_MS = 1000;
/** How long the store may take for jobs that are given back. */
const GIVE_BACK_MS = 2000;
/** A queue is asked at least every 10 s; one that is rate limited, every 30 s. */
const ASKED_MS = 60_000;

export interface ServedParts {
  readonly name: string;
  readonly options: NormalizedWorkerOptions;
  readonly app: Pick<WorkerParts, 'store' | 'warn'>;
  readonly retention: Retention;
  readonly executor: Executor;
  readonly activity: Activity;
}

interface Served {
  readonly claimer: QueueConsumer;
  bounds: ConcurrencyBounds;
}

export class ServedQueues {
  readonly #parts: ServedParts;
  readonly #served = new Map<string, Served>();
  /** Those that are served no more, while their last jobs run. */
  readonly #leaving = new Set<{ readonly queue: string; readonly claimer: QueueConsumer }>();
  #stopScaling: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: ServedParts) {
    this.#parts = parts;
  }

  /** Without Umbel's own. */
  get names(): string[] {
    return [...this.#served.keys()].filter((queue) => queue !== INTERNAL_QUEUE);
  }

  has(queue: string): boolean {
    return this.#served.has(queue);
  }

  /** What is told of each. */
  get facts(): Readonly<Record<string, ServedQueue>> {
    return Object.fromEntries(this.names.map((queue) => [queue, this.#factsOf(queue)]));
  }

  /** Those that were not asked for jobs lately, though there was room for one. */
  get idle(): HealthFacts['idleQueues'] {
    return [...this.#served]
      .filter(([queue, { claimer }]) => this.#parts.activity.activeIn(queue) < claimer.concurrency)
      .map(([queue, { claimer }]) => ({ queue, idleMs: claimer.sinceAskedMs() }))
      .filter(({ idleMs }) => idleMs > ASKED_MS);
  }

  /** Begins to take jobs, once `prepared`. @throws {ClosedError} if this is closed before it has begun. */
  async serve(queue: string, bounds: ConcurrencyBounds, prepared: () => Promise<void>): Promise<void> {
    this.#refuseClosed();
    const { name, options, app, executor, retention } = this.#parts;
    const claimer = createConsumer(
      {
        ...app.store,
        queue,
        concurrency: bounds.min,
        workerName: name,
        lockDurationMs: options.lockDurationMs,
        onKept: (set, ms) => retention.note(queue, set, ms),
        foreign: options.onForeignJob,
        wake: (job) => executor.wake(job),
        spare: queue === INTERNAL_QUEUE ? undefined : spareStart,
        onUnreadable: (job, error) => executor.unreadable(job, error),
        warn: app.warn,
      },
      (job) => executor.execute(job),
    );
    this.#served.set(queue, { claimer, bounds });
    try {
      await prepared();
      this.#refuseClosed();
      await claimer.start();
    } finally {
      this.#refuseClosed(); // it has closed the claimer, whose errors say so in other words
    }
  }

  /** Takes no more jobs; settles when those that run have ended. @throws {UnknownQueueError} */
  async remove(queue: string): Promise<void> {
    const served = queue === INTERNAL_QUEUE ? undefined : this.#served.get(queue);
    if (served === undefined) throw new UnknownQueueError(queue, this.names);
    const leaving = { queue, claimer: served.claimer };
    this.#served.delete(queue);
    this.#leaving.add(leaving);
    try {
      await served.claimer.close();
    } finally {
      this.#leaving.delete(leaving);
    }
  }

  /** Of one queue, or of each. @throws {UnknownQueueError} */
  async setConcurrency(bounds: ConcurrencyBounds, queue: string | undefined): Promise<void> {
    if (queue !== undefined && !this.names.includes(queue)) throw new UnknownQueueError(queue, this.names);
    for (const name of queue === undefined ? this.names : [queue]) {
      const served = this.#served.get(name);
      if (served === undefined) continue;
      served.bounds = bounds;
      const { claimer } = served;
      await claimer.setConcurrency(Math.min(bounds.max, Math.max(bounds.min, claimer.concurrency)));
    }
  }

  /** Lets the concurrency of queues follow the load from now on, if that of any is to. */
  autoscale(): void {
    const hasBounds = [...this.#served.values()].some(({ bounds: { min, max } }) => min < max);
    if (this.#stopScaling !== undefined || !hasBounds || this.#isClosed) return;
    const meter = new EventLoopMeter();
    const timer = setInterval(() => this.#scale(meter), LOAD_MS);
    timer.unref();
    this.#stopScaling = () => {
      clearInterval(timer);
      meter.stop();
    };
  }

  /** Gives up the attempt at a job, if it runs here. */
  terminate({ queue, id, skipped }: Termination): void {
    const reason = skipped
      ? new SkippedError('The job was skipped while it ran: its group has its outcome without it.')
      : new RevokedError('The job was revoked while it ran.');
    this.#served.get(queue)?.claimer.giveUp(id, reason);
    for (const leaving of this.#leaving) if (leaving.queue === queue) leaving.claimer.giveUp(id, reason);
  }

  /** Takes no more jobs; settles when those that run have ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopScaling?.();
    await Promise.all(this.#claimers().map((claimer) => claimer.close()));
  }

  /** Puts back what runs; settles when the store has taken it, or has had time to. */
  async giveBack(): Promise<void> {
    this.#parts.executor.close();
    const claimers = this.#claimers();
    for (const claimer of claimers) claimer.giveUpAll((id) => new WorkerClosedError(id));
    let timer: NodeJS.Timeout | undefined;
    const isOver = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GIVE_BACK_MS);
    });
    await Promise.race([this.close(), isOver]);
    clearTimeout(timer);
  }

  /** Cuts off what runs. */
  async abandon(): Promise<void> {
    this.#parts.executor.close();
    await Promise.all(this.#claimers().map((claimer) => claimer.close(true)));
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw workerClosed();
  }

  #factsOf(queue: string): ServedQueue {
    const concurrency = this.#served.get(queue)?.claimer.concurrency ?? 0;
    return { concurrency, active: this.#parts.activity.activeIn(queue) };
  }

  #scale(meter: EventLoopMeter): void {
    const load = meter.take();
    for (const [queue, { claimer, bounds }] of this.#served) {
      if (bounds.min === bounds.max) continue;
      const active = this.#parts.activity.activeIn(queue);
      void claimer.setConcurrency(nextConcurrency(claimer.concurrency, bounds, { ...load, active }));
    }
  }

  /** Of all that takes jobs, or still runs some. */
  #claimers(): QueueConsumer[] {
    return [...this.#served.values(), ...this.#leaving].map(({ claimer }) => claimer);
  }
}
