/** This module has the parts that all ways to find the jobs of a query share (`scans.ts`). */

import type { JobRef } from '../job/job.js';
import { INTERNAL_JOB, INTERNAL_QUEUE } from '../job/job-tree.js';
import type { RecordsAsked } from '../store/primitives/job-records.js';
import type { ListedRecord } from '../store/read.js';
import type { StoredJob } from '../store/stored-job.js';
import type { CursorPlace } from './job-query.js';

/** Number of jobs that are read concurrently, at first and at most: most pages need no more than the first ones. */
export const BATCH = { first: 50, most: 200 };
/** Returns how many jobs to read next: as many as before, so that pages of 50, 200 and 1,000 jobs read no others. */
export const batchSize = (read: number): number => Math.min(Math.max(read, BATCH.first), BATCH.most);

export interface Candidate {
  /** Undefined if the store no longer holds it, or it cannot be read. */
  readonly job: StoredJob | undefined;
  /** Where it was expected; absent if another set will return it. */
  readonly at?: JobRef;
  /** BullMQ's state, if the set implies it. */
  readonly state?: string;
  /** The index says that this run has the task that is searched for. */
  readonly hasTask?: boolean;
  /** Where the next page continues after it. */
  readonly place: () => CursorPlace;
}

/** Returns what to read of the jobs of a set: of the internal ones, only runs are listed. */
export const askedOf = (queue: string): RecordsAsked => ({
  withState: false,
  name: queue === INTERNAL_QUEUE ? INTERNAL_JOB.run : undefined,
});

export const UNREAD: ListedRecord = { job: undefined, mayHaveChildren: true };
