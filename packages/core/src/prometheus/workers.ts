/** Metrics of the workers of this process, as they are when they are asked for. */
import { performance } from 'node:perf_hooks';
import type { RepairCounts } from '../bullmq/repair.js';
import type { AppWorker } from '../running/worker/app-worker.js';
import type { Making } from './making.js';

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
  let last = performance.eventLoopUtilization();
  making.gauge(
    'event_loop_utilization',
    'How much of the time since it was last asked for the event loop was busy, from 0 to 1',
    [],
    'average',
    function () {
      const now = performance.eventLoopUtilization();
      this.set(performance.eventLoopUtilization(now, last).utilization);
      last = now;
    },
  );
}
