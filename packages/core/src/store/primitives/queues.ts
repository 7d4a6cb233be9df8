/** This module defines commands for whole queues: their limits, and their names for callers that do not know the apps. */
import type { IQueueBackend } from 'bullmq';
import type { RateLimit } from '../../task/option-checks.js';
import { commandsOf } from '../engine/drivers.js';

/** Limits of a whole queue. An absent limit stays unchanged; null removes a limit. */
export interface QueueLimits {
  readonly concurrency?: number | null;
  readonly rate?: RateLimit | null;
}

export interface LimitPrimitive {
  /**
   * Sets limits and wakes the workers that wait for one. An open rate window continues under the new limit: it keeps its
   * start and its count, and gets the new length. Without this command, the count of a window is lost when its length
   * changes, and workers notice a higher limit within 10 s.
   */
  setLimits(limits: QueueLimits): Promise<void>;
}

/** Returns the command; undefined for a store without it. */
export function limitsOf(backend: IQueueBackend): LimitPrimitive | undefined {
  const commands = commandsOf(backend);
  return 'setLimits' in commands ? (commands as LimitPrimitive) : undefined;
}

/** Number of jobs by BullMQ's types; `waiting` has those of a paused queue, too. */
export type CountsOfSets = Readonly<
  Record<
    'active' | 'completed' | 'delayed' | 'failed' | 'prioritized' | 'waiting' | 'waiting-children',
    number
  >
>;

export interface CountPrimitive {
  /** Counts the jobs of each type, up to a limit. Without this command, a count of all jobs takes no time. */
  countsUpTo(limit: number): Promise<CountsOfSets>;
}

/** Returns the command; undefined for a store without it. */
export function countsIn(backend: IQueueBackend): CountPrimitive | undefined {
  const commands = commandsOf(backend);
  return 'countsUpTo' in commands ? (commands as CountPrimitive) : undefined;
}

/** Qualified names of queues of a store. */
export interface QueueNames {
  readonly names: readonly string[];
  /** Whether the list is complete: only a part of a large store is scanned. */
  readonly isComplete: boolean;
}

export interface QueueNamePrimitive {
  /** Returns used queues whose qualified names begin with `start`. Scans a bounded number of keys; in a cluster, those of one node. */
  queueNames(start: string): Promise<QueueNames>;
}

/** Returns the command; undefined for a store without it. */
export function queueNamesIn(backend: IQueueBackend): QueueNamePrimitive | undefined {
  const commands = commandsOf(backend);
  return 'queueNames' in commands ? (commands as QueueNamePrimitive) : undefined;
}
