/**
 * Every error class of the package. One class for each thing a caller would handle differently; data are fields,
 * `name` is literal, the original error is in `cause`.
 */
export { isUmbelError, UmbelError, type UmbelErrorCode } from './errors/base.js';
export {
  ChildProcessError,
  ExpectedFailureError,
  ExpiredError,
  LockLostError,
  PoisonJobError,
  RejectedError,
  RemoteError,
  RevokedError,
  SkippedError,
  TaskFailedError,
  TimeLimitError,
  UnrecoverableError,
  UpstreamFailedError,
  WorkerClosedError,
} from './errors/failures.js';
export {
  CorruptJobError,
  JobStateError,
  LostJobError,
  TimeoutError,
  UnknownJobError,
} from './errors/jobs.js';
export {
  CanvasNotLoadedError,
  DuplicateTaskError,
  IdempotencyConflictError,
  InvalidOptionError,
  MissingPackageError,
  ScheduleError,
  UnboundTaskError,
  UnknownQueueError,
  UnknownScheduleError,
  UnknownTaskError,
  ValidationError,
} from './errors/mistakes.js';
export type { ErrorRecord, FailureOrigin, ValidationIssue, ValidationSubject } from './errors/records.js';
export { ClosedError, ConnectionError, StoreConfigurationError, SubmitError } from './errors/store.js';
