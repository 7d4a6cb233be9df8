/**
 * The queues that a worker serves: one `QueueConsumer` each, with its own concurrency. `QueueWorker` uses it.
 * A queue that is removed stays known until its last job has ended.
 */

import { UnknownQueueError } from '../base/errors.js';
import { RevokedError, SkippedError, WorkerClosedError } from '../base/failures.js';
import { clearInterval, clearTimeout, setInterval, setTimeout } from '../base/real-timers.js';
import type { ServedQueue } from '../control/worker-record.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { createConsumer, type QueueConsumer } from '../store/consumer.js';
import type { Termination } from '../store/control-queue.js';
import type { Retention } from '../store/retention.js';
import type { ConcurrencyBounds } from '../task/option-checks.js';
import type { Activity } from './activity.js';
import { workerClosed } from './app-worker.js';
import type { WorkerDependencies } from './dependencies.js';
import type { Executor } from './executor.js';
import { EventLoopMeter, type HealthFacts } from './health.js';
import { type NormalizedWorkerOptions, nextConcurrency } from './options.js';
import { spareStart } from './poison.js';

/** Interval between two measurements of the load. */
const LOAD_MS = 1000;
/** Longest wait for the store to accept jobs that return to their queues. */
const RETURN_JOBS_MS = 2000;
/** A queue that was not polled for longer is reported. Queues are polled every 10 s, rate limited ones every 30 s. */
const IDLE_MS = 60_000;

export interface ServedQueuesDependencies {
  readonly name: string;
  readonly options: NormalizedWorkerOptions;
  readonly app: Pick<WorkerDependencies, 'store' | 'warn'>;
  readonly retention: Retention;
  readonly executor: Executor;
  readonly activity: Activity;
}

interface Served {
  readonly consumer: QueueConsumer;
  bounds: ConcurrencyBounds;
}

export class ServedQueues {
  readonly #dependencies: ServedQueuesDependencies;
  readonly #served = new Map<string, Served>();
  /** Removed queues whose last jobs still run. */
  readonly #leaving = new Set<{ readonly queue: string; readonly consumer: QueueConsumer }>();
  #stopScaling: (() => void) | undefined;
  #isClosed = false;

  constructor(dependencies: ServedQueuesDependencies) {
    this.#dependencies = dependencies;
  }

  /** The served queues, without Umbel's internal queue. */
  get names(): string[] {
    return [...this.#served.keys()].filter((queue) => queue !== INTERNAL_QUEUE);
  }

  has(queue: string): boolean {
    return this.#served.has(queue);
  }

  /** Concurrency and running jobs of each queue, for the worker's record. */
  get facts(): Readonly<Record<string, ServedQueue>> {
    return Object.fromEntries(this.names.map((queue) => [queue, this.#factsOf(queue)]));
  }

  /** Queues that were not polled recently although the worker had capacity. */
  get idle(): HealthFacts['idleQueues'] {
    return [...this.#served]
      .filter(([queue, { consumer }]) => this.#dependencies.activity.activeIn(queue) < consumer.concurrency)
      .map(([queue, { consumer }]) => ({ queue, idleMs: consumer.sinceAskedMs() }))
      .filter(({ idleMs }) => idleMs > IDLE_MS);
  }

  /** Runs `prepare`, then takes jobs. @throws {ClosedError} if the worker closes first. */
  async serve(queue: string, bounds: ConcurrencyBounds, prepare: () => Promise<void>): Promise<void> {
    this.#refuseClosed();
    const { name, options, app, executor, retention } = this.#dependencies;
    const consumer = createConsumer(
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
    this.#served.set(queue, { consumer, bounds });
    try {
      await prepare();
      this.#refuseClosed();
      await consumer.start();
    } finally {
      this.#refuseClosed(); // closing also closed the consumer, whose own error is less clear
    }
  }

  /** Takes no more jobs of a queue; resolves when its running jobs have ended. @throws {UnknownQueueError} */
  async remove(queue: string): Promise<void> {
    const served = queue === INTERNAL_QUEUE ? undefined : this.#served.get(queue);
    if (served === undefined) throw new UnknownQueueError(queue, this.names);
    const leaving = { queue, consumer: served.consumer };
    this.#served.delete(queue);
    this.#leaving.add(leaving);
    try {
      await served.consumer.close();
    } finally {
      this.#leaving.delete(leaving);
    }
  }

  /** Sets the concurrency of one queue, or of all. @throws {UnknownQueueError} */
  async setConcurrency(bounds: ConcurrencyBounds, queue: string | undefined): Promise<void> {
    if (queue !== undefined && !this.names.includes(queue)) throw new UnknownQueueError(queue, this.names);
    for (const name of queue === undefined ? this.names : [queue]) {
      const served = this.#served.get(name);
      if (served === undefined) continue;
      served.bounds = bounds;
      const { consumer } = served;
      await consumer.setConcurrency(Math.min(bounds.max, Math.max(bounds.min, consumer.concurrency)));
    }
  }

  /** Starts to adapt the concurrency of queues to the load, if any queue has a range. */
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

  /** Aborts the attempt at a job, if it runs here. */
  terminate({ queue, id, skipped }: Termination): void {
    const reason = skipped
      ? new SkippedError('The job was skipped while it ran: its group has its outcome without it.')
      : new RevokedError('The job was revoked while it ran.');
    this.#served.get(queue)?.consumer.giveUp(id, reason);
    for (const leaving of this.#leaving) if (leaving.queue === queue) leaving.consumer.giveUp(id, reason);
  }

  /** Takes no more jobs; resolves when the running jobs have ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopScaling?.();
    await Promise.all(this.#allConsumers().map((consumer) => consumer.close()));
  }

  /** Returns the running jobs to their queues; resolves when the store has accepted them, after 2 s at most. */
  async returnJobs(): Promise<void> {
    this.#dependencies.executor.close();
    const consumers = this.#allConsumers();
    for (const consumer of consumers) consumer.giveUpAll((id) => new WorkerClosedError(id));
    let timer: NodeJS.Timeout | undefined;
    const isOver = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, RETURN_JOBS_MS);
    });
    await Promise.race([this.close(), isOver]);
    clearTimeout(timer);
  }

  /** Abandons the running jobs: they run elsewhere once their locks expire. */
  async abandon(): Promise<void> {
    this.#dependencies.executor.close();
    await Promise.all(this.#allConsumers().map((consumer) => consumer.close(true)));
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw workerClosed();
  }

  #factsOf(queue: string): ServedQueue {
    const concurrency = this.#served.get(queue)?.consumer.concurrency ?? 0;
    return { concurrency, active: this.#dependencies.activity.activeIn(queue) };
  }

  #scale(meter: EventLoopMeter): void {
    const load = meter.take();
    for (const [queue, { consumer, bounds }] of this.#served) {
      if (bounds.min === bounds.max) continue;
      const active = this.#dependencies.activity.activeIn(queue);
      void consumer.setConcurrency(nextConcurrency(consumer.concurrency, bounds, { ...load, active }));
    }
  }

  /** The consumers that take jobs or still run some. */
  #allConsumers(): QueueConsumer[] {
    return [...this.#served.values(), ...this.#leaving].map(({ consumer }) => consumer);
  }
}
