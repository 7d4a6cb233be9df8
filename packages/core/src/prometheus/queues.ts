/** Metrics of queues, read from the store when they are asked for. */

import { performance as nodePerformance } from 'node:perf_hooks';
import type { Gauge } from 'prom-client';
import type { MetricsInput } from '../app/core.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { type QueueSample, sampleQueue } from '../store/queues.js';
import type { RepairCounts } from '../store/repair.js';
import type { AppWorker } from '../worker/app-worker.js';
import type { Making } from './metrics.js';

/** Several processes may ask for the metrics of one, and one for each of them. */
const KEPT_MS = 1000;
/** Prometheus gives up a scrape after 10 s, by default. */
const LONGEST_MS = 2000;

export function queueMetrics(making: Making, measured: MetricsInput): QueueReader {
  const reader = new QueueReader(measured);
  /** A gauge of what each queue gives; of those that could be read. */
  const each = <Label extends string>(
    name: string,
    help: string,
    labels: readonly Label[],
    set: (gauge: Gauge<Label>, sample: QueueSample) => void,
  ) =>
    making.gauge(name, help, labels, 'max', async function () {
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
    'How long the oldest job has waited for a worker, of the next in line; without steps and retries',
    ['queue'],
    (gauge, { queue, oldestAgeMs }) => {
      if (oldestAgeMs !== undefined) gauge.set({ queue }, oldestAgeMs / 1000);
    },
  );
  each('queue_paused', 'Whether workers take no jobs of a queue', ['queue'], (gauge, { queue, isPaused }) => {
    gauge.set({ queue }, isPaused ? 1 : 0);
  });
  making.gauge('store_up', 'Whether the store has answered within 2 s', [], 'min', async function () {
    this.set((await reader.read()) === undefined ? 0 : 1);
  });
  return reader;
}

/** Reads all queues at most once a second. */
class QueueReader {
  readonly #measured: MetricsInput;
  #samples: Promise<readonly QueueSample[] | undefined> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #isReading = false;
  #isStopped = false;

  constructor(measured: MetricsInput) {
    this.#measured = measured;
  }

  /** Undefined if the store does not answer in time. */
  read(): Promise<readonly QueueSample[] | undefined> {
    if (this.#isStopped) return Promise.resolve(undefined);
    const now = performance.now();
    if (this.#samples === undefined || now - this.#readAt >= KEPT_MS) {
      this.#readAt = now;
      const samples = this.#read();
      this.#samples = samples;
      // Those that ask meanwhile get the same answer, and it is kept from when it was there.
      void samples.then(() => {
        this.#readAt = performance.now();
      });
    }
    return this.#samples;
  }

  /** Asks the store no more: it would connect again. */
  stop(): void {
    this.#isStopped = true;
  }

  async #read(): Promise<readonly QueueSample[] | undefined> {
    if (this.#isReading) return undefined; // it is still late: one more command would be, too
    this.#isReading = true;
    const { store, clock, queues } = this.#measured;
    let timer: NodeJS.Timeout | undefined;
    const isLate = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), LONGEST_MS);
    });
    const reading = Promise.resolve(store.timeKnown()).then(() => {
      const now = clock.now();
      return Promise.all(queues().map((queue) => sampleQueue(store, queue, now)));
    });
    try {
      return await Promise.race([reading, isLate]);
    } catch {
      return undefined; // whatever the reason, `store_up` tells
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

// Metrics of the workers of this process, as they are when they are asked for.

const REPAIRS = ['started', 'lost', 'ended'] as const satisfies readonly (keyof RepairCounts)[];

export function workerMetrics(making: Making, workers: ReadonlySet<AppWorker>): void {
  making.gauge('active', 'Attempts that run now', ['queue'], 'sum', function () {
    this.reset();
    for (const { active, queues } of workers) {
      for (const queue of queues) this.inc({ queue }, 0);
      for (const { queue } of active) this.inc({ queue });
    }
  });
  making.gauge('concurrency', 'Attempts that can run at the same time', ['queue'], 'sum', function () {
    this.reset();
    for (const { concurrency } of workers)
      for (const [queue, places] of Object.entries(concurrency)) this.inc({ queue }, places);
  });
  const told = new WeakMap<AppWorker, RepairCounts>();
  making.counter(
    'repairs_total',
    'Jobs that waited for what would never come, and were put right',
    ['kind'],
    function () {
      for (const worker of workers) {
        const { repairs } = worker;
        for (const kind of REPAIRS) this.inc({ kind }, repairs[kind] - (told.get(worker)?.[kind] ?? 0));
        told.set(worker, repairs);
      }
    },
  );
  let last = nodePerformance.eventLoopUtilization();
  making.gauge(
    'event_loop_utilization',
    'How much of the time since it was last asked for the event loop was busy, from 0 to 1',
    [],
    'average',
    function () {
      const now = nodePerformance.eventLoopUtilization();
      this.set(nodePerformance.eventLoopUtilization(now, last).utilization);
      last = now;
    },
  );
}
