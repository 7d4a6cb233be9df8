/** Exports for Umbel's other packages. They may change in any version. */

export { coreOf } from './app/app.js';
export { checkInteger, checkOptions, checkText, type OptionNames } from './base/option-checks.js';
export { runWithTestValue, testOverrideFor, testValue } from './base/test-override.js';
export { isPlainObject, kindOf } from './base/text.js';
export { type Clock, type Duration, durationMs, systemClock } from './base/time.js';
export { mergeCallbacks } from './client/callbacks.js';
export { looksLikeOptions, optionsComeSecond } from './client/input-checks.js';
export { ReadyResult } from './client/result.js';
export { type EnqueuedJob, type Observer, type Runtime, systemRuntime } from './client/runtime.js';
export { toError } from './codec/error-record.js';
export { jsonIssues } from './codec/json.js';
export { type MemberStream, STREAM_OPTIONS } from './job/envelope.js';
export { testAt, turnAt } from './job/ids.js';
export type { ActiveJob } from './job/job.js';
export {
  type Callbacks,
  type Expansion,
  INTERNAL_JOB,
  INTERNAL_OPTIONS,
  INTERNAL_QUEUE,
  type JobNode,
  type JoinRule,
  jobsOf,
  nodesOf,
  type Parent,
  SLICE,
  type Source,
} from './job/job-tree.js';
export { isLongText, leftOutText } from './job/marks.js';
export type { Pause, Sleep } from './job/pause.js';
export { type NormalizedOptions, sharedOptions } from './job/shared-options.js';
export { isSignalKey, waitPosition } from './job/signal-wait.js';
export { type ProcessDefaults, setProcessDefaults, storeMigrations } from './store/connection.js';
export { addCounts, formatCounts, parseCounts } from './store/history.js';
export type {
  ChildKeys,
  EndedJob,
  EndedRange,
  EndedSet,
  Removal,
  TreeState,
} from './store/primitives/ended-jobs.js';
export type { HistoryEntry } from './store/primitives/history.js';
export type { Looks, SeenJob } from './store/primitives/looks.js';
export type { LeftJob, PurgedSet, PurgeRequest, PurgeSlice, PurgeStart } from './store/primitives/purge.js';
export type {
  CheckedWaits,
  NewSignal,
  OpenWaitPage,
  OpenWaitRecord,
  SignalDecision,
  StartedWait,
  WaitEnd,
  WaitState,
} from './store/primitives/signals.js';
export type { TaskEntry } from './task/definition.js';
export { isName, MAX_DISPLAY_NAME, readOptions } from './task/option-checks.js';
export {
  BULK_OPTIONS,
  mergeOptions,
  NO_OPTIONS,
  normalizeOptions,
  SIGNATURE_OPTIONS,
} from './task/options.js';
export { checkSignalKey, SignalObject } from './task/signal.js';
export {
  type CallbackExpressions,
  callbackOf,
  droppedOptions,
  type Expression,
  hasOptions,
  isSigned,
  type OptionsOf,
  PLAN,
  type Plannable,
  type Planning,
  piped,
  provideCanvas,
  refuseUnbound,
  SENDER,
  type Sender,
  type Signed,
  type Surroundings,
  type TaskExpression,
  TaskSignature,
  withCallback,
} from './task/signature.js';
export type { KeysOf, NamedKeysOf, Prettify, ValueAt } from './task/types/bind.js';
export type { AnyPassing, PassedWith } from './task/types/step.js';
export type { ActivityListener, EndedAttempt } from './worker/activity.js';
export { ChainEnded, EndChain, WaitForChildren } from './worker/control-flow.js';
export { plannedGraph, type RunGraph } from './workflow/graph.js';
export { completeInput, fill } from './workflow/input.js';
