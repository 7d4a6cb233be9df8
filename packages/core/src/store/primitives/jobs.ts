/** This module changes locks and data of jobs by compare-and-set. */
import type { IQueueBackend } from 'bullmq';
import { commandsOf } from '../engine/drivers.js';

export interface Primitives {
  /**
   * Locks an active job again whose lock has expired or has this token. Returns false if it has another lock, is not
   * active, or was started again (`starts` is the expected number of starts). Without this command, jobs whose locks
   * expire while their worker is alive run a second time.
   */
  takeLock(jobId: string, token: string, starts: number, durationMs: number): Promise<boolean>;
  /**
   * Replaces a job's data if it still equals `current` and the job meets the condition `only`. Returns false if the data
   * differ, the condition is not met, or the job is missing. Without this command, concurrent changes of two processes may
   * overwrite each other.
   */
  replaceData(jobId: string, current: string, next: string, only?: DataCondition): Promise<boolean>;
  /**
   * Writes a value that expires at once. Rejects if the store refuses to write: it is full, a replica, or lacks its own
   * replicas. Without this command, only the next sweep detects that.
   */
  tryWrite?(): Promise<void>;
  /**
   * Returns whether a job has ended or is missing. Also returns false for a job in no state. Without this command, the
   * state of each job is read with a separate command.
   */
  hasEnded?(jobId: string): Promise<boolean>;
  /** Returns whether a worker holds the lock of a job. Without this command, a job without a lock counts as running. */
  hasLock?(jobId: string): Promise<boolean>;
}

/** Condition: the job has failed, or has not ended and was started exactly `starts` times. */
type DataCondition = 'failed' | { readonly starts: number };

/** Returns the commands; undefined for a store without them. */
export function primitivesOf(backend: IQueueBackend): Primitives | undefined {
  const commands = commandsOf(backend);
  return 'takeLock' in commands && 'replaceData' in commands ? (commands as Primitives) : undefined;
}
