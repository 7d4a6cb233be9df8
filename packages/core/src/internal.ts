/** For Umbel's own packages. Not covered by the version promise. */

export { coreOf } from './app.js';
export type {
  ChildKeys,
  EndedJob,
  EndedRange,
  EndedSet,
  Removal,
  TreeState,
} from './bullmq/primitives/ended-jobs.js';
export type { Looks, SeenJob } from './bullmq/primitives/looks.js';
export type { LeftJob, PurgedSet, PurgeRequest, PurgeSlice, PurgeStart } from './bullmq/primitives/purge.js';
export { type Clock, systemClock } from './clock.js';
export { type Duration, durationMs } from './duration.js';
export { nodesOf } from './flow/expansion.js';
export { FEED_OPTIONS, type MembersFeed } from './flow/feed.js';
export { completeInput, fill } from './flow/input.js';
export {
  type Callbacks,
  type Expansion,
  type FlowNode,
  INTERNAL_JOB,
  INTERNAL_OPTIONS,
  INTERNAL_QUEUE,
  type JoinRule,
  type Parent,
  SLICE,
  type Source,
} from './flow/node.js';
export { sharedOptions } from './flow/shared.js';
export { jobsOf } from './flow/walk.js';
export { plannedGraph, type RunGraph } from './graph/run-graph.js';
export { type ProcessDefaults, setProcessDefaults } from './process-defaults.js';
export { ReadyResult } from './results/ready-result.js';
export type { ActiveJob } from './running/job.js';
export { Skip, StoppedEarly, WaitForChildren } from './running/signals.js';
export type { ActivityListener, EndedAttempt } from './running/worker/activity.js';
export { type EnqueuedJob, type Observer, type Runtime, systemRuntime } from './runtime.js';
export { united } from './sending/callbacks.js';
export { looksLikeOptions, optionsComeSecond } from './sending/mistaken-options.js';
export { standInFor } from './stand-in.js';
export { type OptionsOf, type Planning, piped, provideCanvas, type Surroundings } from './tasks/canvas.js';
export { checkOptions, type OptionNames } from './tasks/known-options.js';
export { type CallbackExpressions, withCallback } from './tasks/linking.js';
export {
  BULK_OPTIONS,
  checkInteger,
  isName,
  mergeOptions,
  NO_OPTIONS,
  type NormalizedOptions,
  normalizeOptions,
  SIGNATURE_OPTIONS,
} from './tasks/options.js';
export { readOptions } from './tasks/read-options.js';
export type { TaskEntry } from './tasks/registry.js';
export {
  callbackOf,
  droppedOptions,
  type Expression,
  hasOptions,
  isSigned,
  PLAN,
  type Plannable,
  SENDER,
  type Sender,
  type Signed,
  type TaskExpression,
  TaskSignature,
} from './tasks/signature.js';
export { refuseUnbound } from './tasks/unbound.js';
export type { KeysOf, NamedKeysOf, Prettify, ValueAt } from './types/bind.js';
export { toError } from './wire/error-record.js';
export { jsonIssues } from './wire/json.js';
export { isLongText, leftOutText } from './wire/marks.js';
export { isPlainObject } from './wire/plain-object.js';
