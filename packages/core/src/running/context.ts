import type { Duration } from '../duration.js';

/** What a handler is given beside its input. */
export interface TaskContext {
  /** The job's id, the same over all attempts. */
  readonly id: string;
  /** The task's name. */
  readonly name: string;
  readonly queue: string;
  /** Counted from 1. */
  readonly attempt: number;
  /** The run this job is a step of; absent for a call sent on its own. */
  readonly runId?: string;
  /** What was sent as `headers` with the call or the composition. */
  readonly headers: Readonly<Record<string, string>>;
  /** Aborted when the worker gives the job up; pass it on to whatever can be stopped. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970, by the clock of the engine: in tests, virtual time. */
  now(): number;
  /**
   * Resolves after `duration` of the engine's time.
   * @throws the signal's reason, once it is aborted.
   */
  sleep(duration: Duration): Promise<void>;
}
