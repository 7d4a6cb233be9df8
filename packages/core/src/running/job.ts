import type { FailureOrigin } from '../errors.js';

/** A job that a worker has claimed, as the rest of the package sees it. */
export interface ActiveJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  /** As stored; not yet checked. */
  readonly data: unknown;
  /** Counted from 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** Aborted when the worker gives the job up. */
  readonly signal: AbortSignal;
  /** Results of the children that completed, by job id. */
  childResults(): Promise<ReadonlyMap<string, unknown>>;
  /** The children that failed. */
  failedChildren(): Promise<readonly FailedChild[]>;
  /** Records why the job failed, to be called before the failure is committed. */
  saveFailure(failure: FailureOrigin): Promise<void>;
}

export interface FailedChild {
  readonly id: string;
  readonly queue: string;
  /** The message of its error. */
  readonly reason: string;
}
