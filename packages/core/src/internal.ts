/** For Umbel's own packages. Not covered by the version promise. */

export { coreOf } from './app.js';
export { type Clock, systemClock } from './clock.js';
export { type Duration, durationMs } from './duration.js';
export { toError } from './error-record.js';
export { type FlowNode, INTERNAL_JOB, INTERNAL_OPTIONS, INTERNAL_QUEUE, type Source } from './flow/node.js';
export type { ActiveJob } from './job.js';
export { type NormalizedOptions, normalizeOptions } from './options.js';
export type { TaskEntry } from './registry.js';
export type { EnqueuedJob, Observer, Runtime } from './runtime.js';
export { type Expression, SENDER, type Sender, type TaskExpression } from './signature.js';
export { standInFor } from './stand-in.js';
export type { Prettify } from './types/bind.js';
