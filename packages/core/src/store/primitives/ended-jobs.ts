/** This module finds ended jobs, and removes them with all jobs below them. */
import type { IQueueBackend } from 'bullmq';
import { commandsOf } from '../engine/drivers.js';

export type EndedSet = 'completed' | 'failed';

/** A range of the jobs of a set by end time, the earliest first. */
export interface EndedRange {
  /** In milliseconds since 1970, included like `until`. */
  readonly from: number;
  /** Number of jobs to skip among those that ended at `from`. */
  readonly skip: number;
  readonly until: number;
  readonly limit: number;
}

export interface EndedJob {
  readonly id: string;
  readonly endedAt: number;
  /** JSON text; empty for a job without a record. */
  readonly options: string;
  /** Whether the job has a parent, and whether the store still holds the parent. */
  readonly parent: 'none' | 'there' | 'gone';
}

/**
 * State of a job and all jobs below it. `ended`: all ended long enough ago. `open`: one has not. A part: the jobs that one
 * command has reached.
 */
export type TreeState = 'ended' | 'open' | TreePart;

/** A part of a tree, from its root down, as keys by which jobs refer to each other. None of its jobs is removed. */
export interface TreePart {
  /** Jobs whose children are all in this part, a job before its children. */
  readonly seen: readonly string[];
  /** Jobs whose children were not read yet. If the root is the only one, it has too many children for one command. */
  readonly rest: readonly string[];
  /** Jobs of `seen` that have not ended, or not long enough ago. */
  readonly open: readonly string[];
}

/** A page of the children of a job, as keys by which jobs refer to each other. */
export interface ChildKeys {
  readonly keys: readonly string[];
  /** Absent on the last page. */
  readonly next?: string;
}

export interface Removal {
  /** `tree`: jobs with all jobs below them. `job`: only the jobs. `check`: remove nothing. */
  readonly mode: 'tree' | 'job' | 'check';
  /**
   * Whether a caller removes them explicitly. Then a tree with an unended job is answered as a part, and each removal
   * writes BullMQ's event.
   */
  readonly isForgotten?: boolean;
  /** Remove only jobs that ended by this time, in milliseconds since 1970. */
  readonly until: number;
}

export interface EndedJobs {
  endedJobs(set: EndedSet, range: EndedRange): Promise<EndedJob[]>;
  /**
   * Removes ended jobs, each tree as a whole or not at all. Answers for at least the first id, and for as many ids as one
   * command can check. A job above probes (`workflow/join.ts`) counts as having too many children: its detached probes
   * are found by its data.
   */
  removeTrees(ids: readonly string[], removal: Removal): Promise<TreeState[]>;
  childKeys(id: string, page?: string): Promise<ChildKeys>;
}

/** Returns the commands; undefined for a backend without them. */
export function endedJobsIn(backend: IQueueBackend): EndedJobs | undefined {
  const commands = commandsOf(backend);
  return 'endedJobs' in commands && 'removeTrees' in commands && 'childKeys' in commands
    ? (commands as EndedJobs)
    : undefined;
}

export interface EndedTimePrimitive {
  /**
   * Returns when a job of the set ended, by its score; undefined if it is not in the set. Without this command, a job
   * without a record gets the time of its neighbour, and a list whose page ends there may contain it twice.
   */
  endedAt(set: EndedSet, jobId: string): Promise<number | undefined>;
}

/** Returns the command; undefined for a store without it. */
export function endedTimesIn(backend: IQueueBackend): EndedTimePrimitive | undefined {
  const commands = commandsOf(backend);
  return 'endedAt' in commands ? (commands as EndedTimePrimitive) : undefined;
}

export interface EndedOrderPrimitive {
  /**
   * Returns up to `limit` jobs of the set, the latest first, then by id: those behind an end, or the first ones. Without this
   * command, a page of a list is found by its position in the set.
   */
  endedBehind(
    set: EndedSet,
    last: { readonly at: number; readonly id: string } | undefined,
    limit: number,
  ): Promise<readonly { readonly at: number; readonly id: string }[]>;
}

/** Returns the command; undefined for a store without it. */
export function endedOrderIn(backend: IQueueBackend): EndedOrderPrimitive | undefined {
  const commands = commandsOf(backend);
  return 'endedBehind' in commands ? (commands as EndedOrderPrimitive) : undefined;
}

export interface ChildResults {
  /**
   * Removes ended children from the lists of a job, by the keys by which it refers to them. Their results and failures are
   * then unknown to the job. Without this command, the lists of a loop grow with each turn.
   */
  removeChildResults(jobId: string, childKeys: readonly string[]): Promise<void>;
}

/** Returns the command; undefined for a store without it. */
export function childResultsIn(backend: IQueueBackend): ChildResults | undefined {
  const commands = commandsOf(backend);
  return 'removeChildResults' in commands ? (commands as ChildResults) : undefined;
}

export interface CompactionPrimitive {
  /**
   * Shrinks the records of those of the runs, jobs of this backend's queue, that have completed, of the completed jobs with
   * these keys, and of some jobs below them, without loss for their readers. Returns the keys of completed jobs below them
   * that it did not shrink. Without this command, records stay as they are.
   */
  compactJobs(jobs: {
    readonly runs: readonly string[];
    readonly keys: readonly string[];
  }): Promise<readonly string[]>;
}

/** Returns the command; undefined for a backend without it. */
export function compactionIn(backend: IQueueBackend): CompactionPrimitive | undefined {
  const commands = commandsOf(backend);
  return 'compactJobs' in commands ? (commands as CompactionPrimitive) : undefined;
}
