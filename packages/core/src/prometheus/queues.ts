/** Metrics of queues, read from the store at each scrape, and of the workers of this process. */

import { performance as nodePerformance } from 'node:perf_hooks';
import type { Gauge } from 'prom-client';
import type { MetricsInput } from '../app/core.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { type QueueSample, sampleQueue } from '../store/queues.js';
import type { RepairCounts } from '../store/repair.js';
import type { AppWorker } from '../worker/app-worker.js';
import type { MetricFactory } from './metrics.js';

/** How long a sample is reused: several scrapers, or several metrics of one scrape, read the same queues. */
const KEPT_MS = 1000;
/** Longest wait for the store. The default timeout of a Prometheus scrape is 10 s. */
const READ_TIMEOUT_MS = 2000;

export function queueMetrics(factory: MetricFactory, input: MetricsInput): QueueReader {
  const reader = new QueueReader(input);
  /** Creates a gauge with a value for each queue that could be read. */
  const each = <Label extends string>(
    name: string,
    help: string,
    labels: readonly Label[],
    set: (gauge: Gauge<Label>, sample: QueueSample) => void,
  ) =>
    factory.gauge(name, help, labels, 'max', async function () {
      const samples = await reader.read();
      this.reset();
      for (const sample of samples ?? []) set(this, sample);
    });
  each(
    'queue_jobs',
    'Jobs in the store, by queue and state',
    ['queue', 'state'],
    (gauge, { queue, counts }) => {
      for (const [state, count] of Object.entries(counts)) gauge.set({ queue, state }, count);
    },
  );
  each(
    'queue_oldest_age_seconds',
    'Age of the oldest waiting job among the next in line; without steps and retries',
    ['queue'],
    (gauge, { queue, oldestAgeMs }) => {
      if (oldestAgeMs !== undefined) gauge.set({ queue }, oldestAgeMs / 1000);
    },
  );
  each('queue_paused', 'Whether a queue is paused', ['queue'], (gauge, { queue, isPaused }) => {
    gauge.set({ queue }, isPaused ? 1 : 0);
  });
  factory.gauge('store_up', 'Whether the store answered within 2 s', [], 'min', async function () {
    this.set((await reader.read()) === undefined ? 0 : 1);
  });
  return reader;
}

/** Reads all queues at most once a second. */
class QueueReader {
  readonly #input: MetricsInput;
  #samples: Promise<readonly QueueSample[] | undefined> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #isReading = false;
  #isStopped = false;

  constructor(input: MetricsInput) {
    this.#input = input;
  }

  /** Returns the samples; undefined if the store does not answer in time. */
  read(): Promise<readonly QueueSample[] | undefined> {
    if (this.#isStopped) return Promise.resolve(undefined);
    const now = performance.now();
    if (this.#samples === undefined || now - this.#readAt >= KEPT_MS) {
      this.#readAt = now;
      const samples = this.#read();
      this.#samples = samples;
      // Concurrent reads share this result, which is reused from its arrival on.
      void samples.then(() => {
        this.#readAt = performance.now();
      });
    }
    return this.#samples;
  }

  /** Reads the store no more: a read would connect again. */
  stop(): void {
    this.#isStopped = true;
  }

  async #read(): Promise<readonly QueueSample[] | undefined> {
    if (this.#isReading) return undefined; // the last read is still pending: another command would wait too
    this.#isReading = true;
    const { store, clock, queues } = this.#input;
    let timer: NodeJS.Timeout | undefined;
    const isLate = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), READ_TIMEOUT_MS);
    });
    const reading = Promise.resolve(store.timeKnown()).then(() => {
      const now = clock.now();
      return Promise.all(queues().map((queue) => sampleQueue(store, queue, now)));
    });
    try {
      return await Promise.race([reading, isLate]);
    } catch {
      return undefined; // `store_up` reports it
    } finally {
      clearTimeout(timer);
      const over = () => {
        this.#isReading = false;
      };
      reading.then(over, over);
    }
  }
}

export type { QueueReader };

const REPAIRS = ['started', 'lost', 'ended'] as const satisfies readonly (keyof RepairCounts)[];

export function workerMetrics(factory: MetricFactory, workers: ReadonlySet<AppWorker>): void {
  factory.gauge('active', 'Running attempts', ['queue'], 'sum', function () {
    this.reset();
    for (const { active, queues } of workers) {
      for (const queue of queues) this.inc({ queue }, 0);
      for (const { queue } of active) this.inc({ queue });
    }
  });
  factory.gauge('concurrency', 'Maximum of running attempts', ['queue'], 'sum', function () {
    this.reset();
    for (const { concurrency } of workers)
      for (const [queue, count] of Object.entries(concurrency)) this.inc({ queue }, count);
  });
  const reported = new WeakMap<AppWorker, RepairCounts>();
  factory.counter('repairs_total', 'Jobs that waited for nothing and were repaired', ['kind'], function () {
    for (const worker of workers) {
      const { repairs } = worker;
      for (const kind of REPAIRS) this.inc({ kind }, repairs[kind] - (reported.get(worker)?.[kind] ?? 0));
      reported.set(worker, repairs);
    }
  });
  let last = nodePerformance.eventLoopUtilization();
  factory.gauge(
    'event_loop_utilization',
    'Share of the time since the last scrape in which the event loop was busy, from 0 to 1',
    [],
    'average',
    function () {
      const now = nodePerformance.eventLoopUtilization();
      this.set(nodePerformance.eventLoopUtilization(now, last).utilization);
      last = now;
    },
  );
}
