// The app, and what it is made with
export { type App, type AppOptions, createApp } from './app.js';
export type { Connection } from './bullmq/connection.js';
export type { Duration } from './duration.js';
// Errors
export {
  ClosedError,
  ConnectionError,
  CorruptJobError,
  DuplicateTaskError,
  InvalidOptionError,
  isUmbelError,
  RemoteError,
  SubmitError,
  TaskFailedError,
  TimeoutError,
  UmbelError,
  UnboundTaskError,
  UnknownJobError,
  UnknownTaskError,
  UpstreamFailedError,
  ValidationError,
  type ValidationIssue,
} from './errors.js';
export type { Logger } from './logger.js';
// Results
export type { AsyncResult, GetOptions } from './results/result.js';
export { isFinal, type JobState } from './results/state.js';
// Tasks
export type { TaskContext } from './running/context.js';
// Workers
export type { AppWorker, WorkerOptions } from './running/worker.js';
export { defineTask } from './tasks/contract.js';
export type { RetryOptions, SendOptions, SignatureOptions, TaskOptions } from './tasks/options.js';
// What JSON carries
export type { Json, NotJsonSafe } from './types/json.js';
// Steps of a composition
export type { AnyResult, AnyStep, Input, InputArgs, InputOf, OutputOf, Result, Step } from './types/step.js';
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
