// App and options
export {
  type App,
  type AppOptions,
  createApp,
  type ImplementOptions,
  isApp,
  type RunQuery,
} from './app/app.js';
export type { AppDescription, TaskDescription } from './app/describe.js';
export type { Limits } from './app/limits.js';
export {
  type SignalHandler,
  type SignalHandlerOptions,
  type SignalLinkOptions,
  type SignalTarget,
  signalHandler,
} from './app/signal-handler.js';
export type { CallArgs, TransactionSender } from './app/transaction-sender.js';
export type { DurationPercentiles } from './base/duration-buckets.js';
// Errors
export {
  CanvasNotLoadedError,
  ClosedError,
  ConnectionError,
  CorruptJobError,
  DuplicateTaskError,
  type ErrorRecord,
  IdempotencyConflictError,
  InvalidOptionError,
  isUmbelError,
  JobStateError,
  MissingPackageError,
  ScheduleError,
  StoreConfigurationError,
  SubmitError,
  TimeoutError,
  UmbelError,
  type UmbelErrorCode,
  UnboundTaskError,
  UnknownJobError,
  UnknownQueueError,
  UnknownScheduleError,
  UnknownSignalError,
  UnknownTaskError,
  ValidationError,
  type ValidationIssue,
  type ValidationSubject,
} from './base/errors.js';
export {
  ChildProcessError,
  ExpectedFailureError,
  ExpiredError,
  LockLostError,
  PoisonJobError,
  RejectedError,
  RemoteError,
  RevokedError,
  SignalConflictError,
  SignalTimeoutError,
  TaskFailedError,
  TimeLimitError,
  UnrecoverableError,
  UpstreamFailedError,
  WorkerClosedError,
} from './base/failures.js';
export type { Logger } from './base/test-override.js';
export type { Duration } from './base/time.js';
// Results
export type {
  AsyncResult,
  CollectedTask,
  GetOptions,
  JobInfo,
  MemberOf,
  MemberOutcome,
  Outcome,
  PageEntry,
  PageOptions,
  ResumeOptions,
} from './client/async-result.js';
export type { Codec, CodecContext } from './codec/codecs.js';
// Codecs
export { compression, type EncryptionOptions, encryption } from './codec/codecs.js';
export type { FailureRecord, StepOutcome } from './codec/error-record.js';
export type { JsonSchema } from './codec/json-schema.js';
export type {
  ActiveAttempt,
  AttemptCounts,
  AttemptEnd,
  ControlResult as Obeyed,
  ShuttingDown,
  WorkerConf,
  WorkerStats,
} from './control/answers.js';
export type { Answers, AskOptions } from './control/ask.js';
export type { Control } from './control/control.js';
export type {
  Inspect,
  JobsQuery,
  LostJobs,
  Pong,
  QueueInfo,
  RegisteredTask,
  ReservedJob,
  ScheduledJob,
} from './control/inspect.js';
export type { ServedQueue, WorkerInfo, WorkerProcess, WorkerState } from './control/worker-record.js';
export type { Overlap } from './job/schedule-record.js';
export { isFinal, type JobState } from './job/states.js';
export type {
  DeadLetter,
  DeadLetterDetails,
  DeadLetterFilter,
  DeadLetterPageQuery,
  DeadLetterQuery,
  DeadLetters,
  DiscardCounts,
  DiscardManyOptions,
  ErrorGroupQuery,
  ReplayCounts,
  ReplayManyOptions,
  ReplayOptions,
  SkippedLetter,
  Timeline,
} from './ops/dead-letters.js';
export type { Diagnosis, DiagnosisOptions, QueuedProblem, StoreReport } from './ops/diagnosis.js';
export type { ErrorGroup, ErrorGroups } from './ops/error-groups.js';
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
  SignalledEvent,
  StalledEvent,
  StartedEvent,
  WaitingEvent,
  WorkerEvent,
  WorkerFacts,
} from './ops/events.js';
export type {
  AppHistory,
  HistoryAnswer,
  HistoryNumbers,
  HistoryPoint,
  HistoryQuery,
  HistoryRange,
  TaskHistory,
} from './ops/history.js';
// Queries
export type {
  ConditionCounts,
  JobCondition,
  JobCounts,
  JobFacts,
  JobFilter,
  JobPage,
  JobQuery,
  Jobs,
  ListedJob,
  ListedRun,
  Page,
  RunFacts,
  RunFilter,
  RunGetOptions,
  RunPageQuery,
  Runs,
  StoredState,
  WaitReason,
} from './ops/job-query.js';
export type { OpenWait, OpenWaitQuery, Signals } from './ops/signals.js';
export type {
  InputStillNeeded,
  ScheduleHandle,
  ScheduleInfo,
  ScheduleRun,
  Schedules,
  ScheduleTarget,
} from './schedule/handle.js';
export type { ScheduleExceptions, ScheduleOptions, ScheduleRules, Weekday } from './schedule/options.js';
export type { SyncOptions, SyncReport } from './schedule/schedules.js';
export type { FoundApp, FoundApps } from './store/app-names.js';
// Remote control
export type { Connection } from './store/connection.js';
export type { ForeignHandler, ForeignJob } from './store/consumer.js';
export type { ConnectionFacts, EngineKind } from './store/engine/engine.js';
// Stores
export { type PgliteOptions, pglite } from './store/engine/pglite/engine.js';
export type {
  PgliteInstance,
  PgliteResult,
  PgliteRowParsers,
  PgliteStatements,
} from './store/engine/pglite/pglite-package.js';
export {
  type PostgresOptions,
  type PostgresPool,
  type PostgresPoolClient,
  postgres,
  type SqlRows,
} from './store/engine/postgres/user-pool.js';
export type { OpenTransaction, StatementFunction } from './store/engine/transaction.js';
export type { PurgeCounts, PurgeOptions, PurgeProgress } from './store/purge.js';
export type { QueueCounts, QueueHandle } from './store/queues.js';
export type { RepairCounts } from './store/repair.js';
// Workers
export type {
  MemberArgs,
  MemberOptions,
  RetryRequestOptions,
  TaskContext,
  TaskLog,
} from './task/context.js';
// Tasks and calls
export { defineTask } from './task/contract.js';
export type { AddedBy, AnyMiddleware, Hooks, Middleware, OutgoingCall } from './task/middleware.js';
export type { Concurrency, Rate } from './task/option-checks.js';
export type {
  BulkOptions,
  CallOptions,
  DebounceOptions,
  DeduplicationOptions,
  SendOptions,
  SignatureOptions,
  TaskOptions,
  ThrottleOptions,
  UniqueOptions,
} from './task/options.js';
export type { Jitter, RetryOptions, TaskRetryOptions } from './task/retry.js';
export type { QueueOptions, RoutedCall, Routes } from './task/routing.js';
export type {
  AnySignal,
  PayloadOf,
  PayloadSchema,
  ReceivedPayload,
  Signal,
  SignalAnswer,
  SignalDefinition,
} from './task/signal.js';
// Tasks by name
export type { Client, Handlers, NamedTask } from './task/types/bind.js';
// JSON values
export type { Json, NotJsonSafe, Received } from './task/types/json.js';
// Steps of a workflow
export type {
  AnyResult,
  AnyStep,
  Input,
  InputArgs,
  InputOf,
  NextStep,
  OutputOf,
  PassingResult,
  Result,
  Step,
  StepAfter,
} from './task/types/step.js';
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
} from './task/types/task.js';
// Schedules
export type { ExcludedDays } from './timing/calendar.js';
export type { CatchUp, Timing } from './timing/timing.js';
export type { AppWorker, CloseOptions, CloseReason } from './worker/app-worker.js';
export type { MetricsSource, WorkerHealth } from './worker/health.js';
export type { MemorySize, WorkerOptions } from './worker/options.js';
export { processIndex } from './worker/supervisor/plan.js';
export type { RunGraph, RunGraphJson } from './workflow/graph.js';
// Graphs and progress of runs
export type { EdgeKind, GraphEdge, GraphNode, GraphState, StateCounts } from './workflow/graph-parts.js';
export type { RunCounts } from './workflow/graph-tally.js';
export type { StepWait } from './workflow/graph-waits.js';
