/** Pages of what fits a query. */

import { knownJob } from '../bullmq/known-job.js';
import { type StoredJob, shownState } from '../bullmq/stored-job.js';
import { INTERNAL_QUEUE, isRunJob } from '../flow/node.js';
import { isJobState } from '../results/state.js';
import type { Candidate } from './candidate.js';
import { encodeCursor } from './cursor.js';
import type { Filter, PageRequest } from './filter.js';
import type { Page, StoredState } from './query.js';
import { candidates, type SourceParts } from './sources.js';

/** Jobs that are looked at for one page. */
const LOOKED_AT = 1000;

/** A job that fits, and where it stands. */
export interface FoundJob {
  readonly job: StoredJob;
  readonly state: StoredState;
}

/** The next page of what fits. */
export async function pageOf(
  parts: SourceParts,
  { filter, limit, from, digest }: PageRequest,
): Promise<Page<FoundJob>> {
  const items: FoundJob[] = [];
  let looked = 0;
  for await (const candidate of candidates(parts, filter, from)) {
    looked += 1;
    const found = await fitting(parts, filter, candidate);
    if (found !== undefined) items.push(found);
    if (items.length >= limit || looked >= LOOKED_AT)
      return { items, cursor: encodeCursor(candidate.place(), digest) };
  }
  return { items };
}

async function fitting(
  { store, queues, isOfRuns }: SourceParts,
  filter: Filter,
  { job: read, at, state: known }: Candidate,
): Promise<FoundJob | undefined> {
  // Whose task and tags cannot be read is none of those that are asked for by them.
  const isAnyMeant = filter.task === undefined && filter.tag === undefined;
  const job = read ?? (isAnyMeant && at !== undefined ? await knownJob(store, at) : undefined);
  if (job === undefined || !fits(job, filter, queues, isOfRuns)) return undefined;
  const state = storedState(known ?? (await store.on(job.queue, (bull) => bull.getJobState(job.id))), job);
  if (state === undefined || filter.states?.has(state) === false) return undefined;
  return { job, state };
}

function fits(
  job: StoredJob,
  { task, tag, sinceMs, untilMs }: Filter,
  queues: readonly string[],
  isOfRuns: boolean,
): boolean {
  const isInternal = job.queue === INTERNAL_QUEUE;
  const mayBeRun = isRunJob(job.queue, job.name) || (isInternal && job.problem !== undefined);
  if (isOfRuns ? !mayBeRun : isInternal) return false;
  if (!queues.includes(job.queue)) return false;
  if (task !== undefined && job.name !== task) return false;
  // A run is indexed by the tags of its parts too, which it does not bear itself.
  if (tag !== undefined && !isOfRuns && job.envelope?.tags?.includes(tag) !== true) return false;
  const at = job.finishedAt ?? job.enqueuedAt;
  if (at === 0 && (sinceMs !== undefined || untilMs !== undefined)) return false; // nobody knows when
  return (sinceMs === undefined || at >= sinceMs) && (untilMs === undefined || at < untilMs);
}

/** BullMQ's state, or that of its set, as this package tells it; undefined if the job is gone. */
export function storedState(known: string, job: StoredJob): StoredState | undefined {
  const state = known === 'active' ? known : shownState(known === 'paused' ? 'waiting' : known, job);
  return isJobState(state) && state !== 'unknown' ? state : undefined;
}
