/** This module reads the state of many jobs of a queue, and the range of the queue's events, at one moment. */
import type { IQueueBackend } from 'bullmq';
import { commandsOf } from '../engine/drivers.js';

/** A job that has ended, is missing, or has reported progress. */
export interface SeenJob {
  /** Its index in the requested ids. */
  readonly index: number;
  /** `unreadable`: its record has a type that no job has. */
  readonly status: 'pending' | 'completed' | 'failed' | 'missing' | 'unreadable';
  /** The result as JSON text, or the reason of the failure; undefined if that is too long for an answer about many jobs. */
  readonly text: string | undefined;
  /** JSON text; undefined if there is none or it was not requested. */
  readonly progress: string | undefined;
}

/** The ids of the first and the last event that a queue holds; undefined if it holds none. */
interface EventEdges {
  readonly first: string | undefined;
  readonly last: string | undefined;
}

export interface Looks {
  /** Undefined if the store does not answer that: its user may lack the permission. */
  readonly events: EventEdges | undefined;
  /** Whether events after the last one may be older than this look: transactions that wrote some are still open. */
  readonly mayRepeat?: true;
  /** Omits pending jobs without progress. */
  readonly jobs: readonly SeenJob[];
}

export interface LookPrimitive {
  /**
   * Reads jobs and the range of events in one step. Without this command, jobs are read one by one, and events only wake
   * their readers.
   * @param followed Number of ids, from the first, whose progress is read too.
   */
  lookAtJobs(ids: readonly string[], followed: number): Promise<Looks>;
}

/** Returns the command; undefined for a store without it. */
export function lookPrimitiveOf(backend: IQueueBackend): LookPrimitive | undefined {
  const commands = commandsOf(backend);
  return 'lookAtJobs' in commands ? (commands as LookPrimitive) : undefined;
}
