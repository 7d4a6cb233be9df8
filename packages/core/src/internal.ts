/** For Umbel's own packages. Not covered by the version promise. */

export { coreOf } from './app.js';
export { type Clock, systemClock } from './clock.js';
export { type Duration, durationMs } from './duration.js';
export { type FlowNode, INTERNAL_JOB, INTERNAL_OPTIONS, INTERNAL_QUEUE, type Source } from './flow/node.js';
export { ReadyResult } from './results/result.js';
export type { ActiveJob } from './running/job.js';
export { type EnqueuedJob, type Observer, type Runtime, systemRuntime } from './runtime.js';
export { standInFor } from './stand-in.js';
export { type NormalizedOptions, normalizeOptions } from './tasks/options.js';
export type { TaskEntry } from './tasks/registry.js';
export {
  type Expression,
  PLAN,
  type Plannable,
  SENDER,
  type Sender,
  type TaskExpression,
} from './tasks/signature.js';
export type { Prettify } from './types/bind.js';
export { toError } from './wire/error-record.js';
