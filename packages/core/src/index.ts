// The app, and what it is made with
export {
  type App,
  type AppOptions,
  createApp,
  type ImplementOptions,
  isApp,
  type Limits,
  type RunQuery,
} from './app.js';
export type { FoundApp, FoundApps } from './bullmq/app-names.js';
export type { ForeignHandler, ForeignJob } from './bullmq/claim.js';
// Remote control
export type { Connection, ConnectionFacts } from './bullmq/connection.js';
export type {
  DeadLetter,
  DeadLetterDetails,
  DeadLetterFilter,
  DeadLetterQuery,
  DeadLetters,
  DiscardCounts,
  DiscardManyOptions,
  ReplayCounts,
  ReplayManyOptions,
  ReplayOptions,
  SkippedLetter,
  Timeline,
} from './bullmq/dead-letters.js';
export type { PurgeCounts, PurgeOptions, PurgeProgress } from './bullmq/purging.js';
export type { QueueCounts, QueueHandle } from './bullmq/queue-handle.js';
export type { RepairCounts } from './bullmq/repair.js';
export type { Obeyed, ShuttingDown, WorkerConf, WorkerStats } from './control/answers.js';
export type { Answers, AskOptions } from './control/asking.js';
export type { Control } from './control/control.js';
export type {
  Inspect,
  JobsQuery,
  LostJobs,
  Pong,
  QueueInfo,
  ReservedJob,
  ScheduledJob,
} from './control/inspect.js';
export type { JsonSchema, RegisteredTask } from './control/registered.js';
export type { ServedQueue, WorkerInfo, WorkerProcess, WorkerState } from './control/worker-record.js';
export type { AppDescription, TaskDescription } from './description.js';
export type { Diagnosis, DiagnosisOptions, QueuedProblem, StoreReport } from './diagnosis.js';
export type { Duration } from './duration.js';
// Errors
export {
  CanvasNotLoadedError,
  ChildProcessError,
  ClosedError,
  ConnectionError,
  CorruptJobError,
  DuplicateTaskError,
  type ErrorRecord,
  ExpectedFailureError,
  ExpiredError,
  IdempotencyConflictError,
  InvalidOptionError,
  isUmbelError,
  JobStateError,
  LockLostError,
  MissingPackageError,
  PoisonJobError,
  RejectedError,
  RemoteError,
  RevokedError,
  ScheduleError,
  StoreConfigurationError,
  SubmitError,
  TaskFailedError,
  TimeLimitError,
  TimeoutError,
  UmbelError,
  type UmbelErrorCode,
  UnboundTaskError,
  UnknownJobError,
  UnknownQueueError,
  UnknownScheduleError,
  UnknownTaskError,
  UnrecoverableError,
  UpstreamFailedError,
  ValidationError,
  type ValidationIssue,
  type ValidationSubject,
  WorkerClosedError,
} from './errors.js';
// Events
export type {
  AppEvent,
  CompletedEvent,
  EndedEvent,
  EnqueuedEvent,
  EventOf,
  EventQuery,
  EventType,
  FailedEvent,
  GapEvent,
  ProgressEvent,
  RetriedEvent,
  RunFinishedEvent,
  RunStartedEvent,
  StalledEvent,
  StartedEvent,
  WorkerEvent,
  WorkerFacts,
} from './events/event.js';
// Graphs and progress of runs
export type { EdgeKind, GraphEdge, GraphNode, GraphState, StateCounts } from './graph/node.js';
export type { RunGraph, RunGraphJson } from './graph/run-graph.js';
export type { RunCounts } from './graph/tally.js';
export type { Logger } from './logger.js';
// Queries
export type {
  JobCounts,
  JobFacts,
  JobFilter,
  JobQuery,
  Jobs,
  ListedJob,
  ListedRun,
  Page,
  RunFacts,
  RunFilter,
  RunPageQuery,
  Runs,
  StoredState,
} from './queries/query.js';
// Results
export type { AsyncResult, GetOptions, JobInfo, Outcome, ResumeOptions } from './results/async-result.js';
export type {
  CollectedTask,
  MemberOf,
  MemberOutcome,
  PageEntry,
  PageOptions,
} from './results/member-outcome.js';
export { isFinal, type JobState } from './results/state.js';
// Workers
export type {
  MemberArgs,
  MemberOptions,
  RetryRequestOptions,
  TaskContext,
  TaskLog,
} from './running/context.js';
export { processIndex } from './running/processes/place.js';
export type { ActiveAttempt, AttemptCounts, AttemptEnd } from './running/worker/activity.js';
export type { AppWorker, CloseOptions, CloseReason } from './running/worker/app-worker.js';
export type { MemorySize } from './running/worker/bytes.js';
export type { Concurrency } from './running/worker/concurrency.js';
export type { MetricsSource, WorkerHealth } from './running/worker/health.js';
export type { WorkerOptions } from './running/worker/options.js';
// Schedules
export type { ExcludedDays } from './schedules/calendar.js';
export type { Overlap } from './schedules/decide.js';
export type { CatchUp } from './schedules/due-slots.js';
export type { InputStillNeeded, ScheduleHandle, Schedules, ScheduleTarget } from './schedules/handle.js';
export type { ScheduleInfo, ScheduleRun } from './schedules/info.js';
export type { ScheduleExceptions, ScheduleOptions, ScheduleRules, Weekday } from './schedules/options.js';
export type { SyncOptions, SyncReport } from './schedules/schedules.js';
export type { Timing } from './schedules/timing.js';
// Tasks and calls
export { defineTask } from './tasks/contract.js';
export type { Hooks } from './tasks/hooks.js';
export type { AddedBy, AnyMiddleware, Middleware, OutgoingCall } from './tasks/middleware.js';
export type {
  BulkOptions,
  CallOptions,
  DebounceOptions,
  DeduplicationOptions,
  FailureRecord,
  SendOptions,
  SignatureOptions,
  StepOutcome,
  TaskOptions,
  ThrottleOptions,
  UniqueOptions,
} from './tasks/options.js';
export type { Rate } from './tasks/rate.js';
export type { Jitter, RetryOptions, TaskRetryOptions } from './tasks/retry.js';
export type { QueueOptions, RoutedCall, Routes } from './tasks/routing.js';
// What JSON carries
export type { Json, NotJsonSafe, Received } from './types/json.js';
// Tasks by name
export type { Client, Handlers, NamedTask } from './types/named.js';
// Steps of a composition
export type {
  AnyResult,
  AnyStep,
  Input,
  InputArgs,
  InputOf,
  OutputOf,
  Result,
  Step,
  StepAfter,
} from './types/step.js';
export type {
  AnyContract,
  AnySignature,
  AnyTask,
  Contract,
  Decoded,
  Encoded,
  Handler,
  InputSchema,
  OutputSchema,
  ReceivedBy,
  ReturnedBy,
  Schema,
  Signature,
  Task,
  TaskResult,
} from './types/task.js';
// Codecs
export { compression } from './wire/compression.js';
export { type EncryptionOptions, encryption } from './wire/encryption.js';
export type { Codec, CodecContext } from './wire/sealing.js';
