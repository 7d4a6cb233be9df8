/** A worker in a process that was started for another worker of the same program: it runs there, and not here. */
import { NOTHING_REPAIRED } from '../../bullmq/repair.js';
import { NO_ATTEMPTS } from '../worker/activity.js';
import type { AppWorker, CloseReason } from '../worker/app-worker.js';
import type { WorkerHealth } from '../worker/health.js';

export class AbsentWorker implements AppWorker {
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
