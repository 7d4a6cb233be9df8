import type { AppWorker } from '../worker/app-worker.js';
import type { WorkerParts } from '../worker/parts.js';
import { QueueWorker } from '../worker/worker.js';
import { ProcessWorker } from './process-worker.js';
import { SupervisedWorker } from './supervised-worker.js';
import type { WorkerPlan, WorkerRole } from './worker-plan.js';

/** A worker as it was planned. */
export function createWorker(
  { options, normalized, role }: WorkerPlan<WorkerRole>,
  parts: WorkerParts,
): AppWorker {
  switch (role.kind) {
    case 'worker':
      return new QueueWorker(options, parts);
    case 'process':
      return new ProcessWorker(options, normalized, parts, role.place);
    case 'supervisor':
      return new SupervisedWorker(normalized, parts, role.number);
  }
}
