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
export type { ForeignHandler, ForeignJob } from './bullmq/claim.js';
export type { Connection } from './bullmq/connection.js';
export type { DeadLetter, DeadLetterQuery, DeadLetters } from './bullmq/dead-letters.js';
export type { QueueCounts, QueueHandle } from './bullmq/queue-handle.js';
export type { RepairCounts } from './bullmq/repair.js';
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
  PoisonJobError,
  RejectedError,
  RemoteError,
  RevokedError,
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
  UnknownTaskError,
  UnrecoverableError,
  UpstreamFailedError,
  ValidationError,
  type ValidationIssue,
  type ValidationSubject,
  WorkerClosedError,
} from './errors.js';
// Graphs and progress of runs
export type { EdgeKind, GraphEdge, GraphNode, GraphState, StateCounts } from './graph/node.js';
export type { RunGraph, RunGraphJson } from './graph/run-graph.js';
export type { RunCounts } from './graph/tally.js';
export type { Logger } from './logger.js';
// Results
export type { AsyncResult, GetOptions, JobInfo, Outcome } from './results/async-result.js';
export type {
  CollectedTask,
  MemberOf,
  MemberOutcome,
  PageEntry,
  PageOptions,
} from './results/member-outcome.js';
export { isFinal, type JobState } from './results/state.js';
// Workers
export type { TaskContext, TaskLog } from './running/context.js';
export type { ActiveAttempt, AttemptCounts, AttemptEnd } from './running/worker/activity.js';
export type { MemorySize } from './running/worker/bytes.js';
export type { Concurrency } from './running/worker/concurrency.js';
export type { WorkerHealth } from './running/worker/health.js';
export type { WorkerOptions } from './running/worker/options.js';
export type { AppWorker, CloseOptions, CloseReason } from './running/worker/worker.js';
// Tasks and calls
export { defineTask } from './tasks/contract.js';
export type { Hooks } from './tasks/hooks.js';
export type { AddedBy, AnyMiddleware, Middleware, OutgoingCall } from './tasks/middleware.js';
export type {
  BulkOptions,
  CallOptions,
  DeduplicationOptions,
  FailureRecord,
  SendOptions,
  SignatureOptions,
  StepOutcome,
  TaskOptions,
} from './tasks/options.js';
export type { Rate } from './tasks/rate.js';
export type { RetryOptions, TaskRetryOptions } from './tasks/retry.js';
export type { QueueOptions, RoutedCall, Routes } from './tasks/routing.js';
// What JSON carries
export type { Json, NotJsonSafe } from './types/json.js';
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
  AnyTask,
  Contract,
  Handler,
  ReceivedBy,
  ReturnedBy,
  Signature,
  Task,
} from './types/task.js';
// Codecs
export { compression } from './wire/compression.js';
export { type EncryptionOptions, encryption } from './wire/encryption.js';
export type { Codec, CodecContext } from './wire/sealing.js';
