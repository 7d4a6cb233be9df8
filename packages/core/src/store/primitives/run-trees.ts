/** This module reads jobs of a run with all that they wait for, many levels with one command. */
import type { IQueueBackend } from 'bullmq';
import { commandsOf } from '../engine/drivers.js';

/** Fields of a job's record as they are stored; undefined if its record lacks them. */
export interface StoredFields {
  readonly name: string | undefined;
  readonly data: string | undefined;
  readonly timestamp: string | undefined;
  readonly attemptsMade: string | undefined;
  readonly processedOn: string | undefined;
  readonly finishedOn: string | undefined;
  readonly failedReason: string | undefined;
}

/** Keys of the children of a job by kind, all at the same moment. */
export interface ChildKinds {
  readonly unprocessed: readonly string[];
  readonly processed: readonly string[];
  /** The keys of failed children that did not fail the job, with the reasons. */
  readonly ignored: readonly (readonly [key: string, reason: string])[];
}

/** A job that was read. */
export interface TreeJob {
  readonly key: string;
  /**
   * BullMQ's state. Undefined if the command does not tell it, as for active jobs: then read the job, its state and its
   * children with other commands. A command may count a job as waiting that is in no set, instead of searching a long list.
   */
  readonly state:
    | 'completed'
    | 'failed'
    | 'waiting-children'
    | 'delayed'
    | 'waiting'
    | 'prioritized'
    | 'unknown'
    | undefined;
  /** Undefined if the store holds no record. */
  readonly fields: StoredFields | undefined;
  /** Undefined if there are too many for this command. */
  readonly children: ChildKinds | undefined;
}

export interface RunTreePrimitive {
  /**
   * Reads a job and then its children, level by level, all at one moment: a limited number of jobs and bytes, at least one
   * job. Leaves out the children of jobs with many of them. Without this command, each job takes five commands.
   */
  readRunTree(id: string): Promise<readonly TreeJob[]>;
}

/** Numbers of the children of a job by kind: `ignored` ones have failed and did not fail the job. */
export type ChildNumbers = Readonly<Record<'unprocessed' | 'processed' | 'ignored', number>>;

export interface ChildNumbersPrimitive {
  /** Counts the children of jobs of a queue, in the order of the ids. Without this command, each job takes one. */
  childNumbers(ids: readonly string[]): Promise<readonly ChildNumbers[]>;
}

/** Returns the command; undefined for a store without it. */
export function childNumbersPrimitiveOf(backend: IQueueBackend): ChildNumbersPrimitive | undefined {
  const commands = commandsOf(backend);
  return 'childNumbers' in commands ? (commands as ChildNumbersPrimitive) : undefined;
}

/** Returns the command; undefined for a store without it. */
export function runTreePrimitiveOf(backend: IQueueBackend): RunTreePrimitive | undefined {
  const commands = commandsOf(backend);
  return 'readRunTree' in commands ? (commands as RunTreePrimitive) : undefined;
}
