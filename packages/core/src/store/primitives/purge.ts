/** This module removes the waiting jobs of a queue in slices. */
import type { IQueueBackend } from 'bullmq';
import { commandsOf } from '../engine/drivers.js';

/** Sets of jobs that have not started. */
export type PurgedSet = 'wait' | 'prioritized' | 'delayed';

export interface PurgeStart {
  readonly count: number;
  /** Where the first slice begins. */
  readonly cursor: string;
  /** Whether the next slice moves settled jobs to the end of the list where they can be removed quickly. */
  readonly isMoved: boolean;
}

export interface PurgeRequest {
  readonly cursor: string;
  /** Maximum number of jobs to check. With 0, only `settled` are moved. */
  readonly limit: number;
  /** Jobs that the last slice returned in `left`: in `wait`, they are moved behind all others. */
  readonly settled: readonly string[];
  /** Jobs that Umbel sent later than this stay; in milliseconds since 1970. */
  readonly sentBy: number;
}

/** A job that a slice did not remove because it has a parent or children. */
export interface LeftJob {
  readonly id: string;
  /** The run that it is a step of; empty if only its data can show that. */
  readonly run: string;
}

export interface PurgeSlice {
  readonly removed: number;
  /** Number of checked jobs, removed ones included, without jobs that were added later. */
  readonly seen: number;
  readonly left: readonly LeftJob[];
  /** Where the next slice begins; absent at the end. */
  readonly next?: string;
}

export interface PurgePrimitive {
  purgeStart(set: PurgedSet): Promise<PurgeStart>;
  /**
   * Removes single jobs for a few milliseconds, and returns those with a parent or children. Jobs that were added since
   * the start stay. A repeated slice, whose answer was lost, returns the same jobs.
   */
  purgeSlice(set: PurgedSet, request: PurgeRequest): Promise<PurgeSlice>;
}

/** Returns the commands; undefined for a backend without them. */
export function purgeIn(backend: IQueueBackend): PurgePrimitive | undefined {
  const commands = commandsOf(backend);
  return 'purgeStart' in commands && 'purgeSlice' in commands ? (commands as PurgePrimitive) : undefined;
}
