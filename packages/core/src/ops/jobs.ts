/** This module implements `app.jobs` and `app.runs`. */

import { UnknownJobError } from '../base/errors.js';
import { jobInfoOf } from '../client/result.js';
import { RunReader } from '../client/run/run-reader.js';
import type { WorkerQuery } from '../control/ask.js';
import { isJobId } from '../job/ids.js';
import { INTERNAL_JOB, INTERNAL_QUEUE, isRunJob } from '../job/job-tree.js';
import { isFinal, isJobState } from '../job/states.js';
import { type CollectedInput, collectInput } from '../store/job-input.js';
import { promoteJob, type QueueCounts, queueCounts } from '../store/queues.js';
import { knownJob, storedStateOf } from '../store/read.js';
import type { Store } from '../store/store.js';
import { type StoredJob, shownState } from '../store/stored-job.js';
import type { TagIndex } from '../store/tags.js';
import { runCountsOf } from '../workflow/graph-tally.js';
import { stepWaitOf } from '../workflow/graph-waits.js';
import {
  encodeCursor,
  type Filter,
  type JobFacts,
  type JobFilter,
  type JobQuery,
  type Jobs,
  type ListedJob,
  type ListedRun,
  type Page,
  type PageRequest,
  pageRequestOf,
  type RunFilter,
  type RunPageQuery,
  type Runs,
  type StoredState,
} from './job-query.js';
import { type Candidate, candidates, type ScanDependencies } from './scans.js';
import { waitReasonOf } from './wait-reason.js';

/** Maximum number of jobs that one page reads. */
const MAX_READ_PER_PAGE = 1000;

/** A job that matches a query, with its state. */
interface FoundJob {
  readonly job: StoredJob;
  readonly state: StoredState;
}

/** Returns the next page of matching jobs. */
async function pageOf(
  dependenciesNow: ScanDependencies,
  { filter, limit, from, digest }: PageRequest,
): Promise<Page<FoundJob>> {
  const items: FoundJob[] = [];
  let read = 0;
  for await (const candidate of candidates(dependenciesNow, filter, from)) {
    read += 1;
    const found = await matching(dependenciesNow, filter, candidate);
    if (found !== undefined) items.push(found);
    if (items.length >= limit || read >= MAX_READ_PER_PAGE)
      return { items, cursor: encodeCursor(candidate.place(), digest) };
  }
  return { items };
}

async function matching(
  { store, queues, isOfRuns }: ScanDependencies,
  filter: Filter,
  { job: read, at, state: known }: Candidate,
): Promise<FoundJob | undefined> {
  // A job whose task and tags cannot be read does not match a filter by them.
  const matchesAny = filter.task === undefined && filter.tag === undefined;
  const job = read ?? (matchesAny && at !== undefined ? await knownJob(store, at) : undefined);
  if (job === undefined || !matches(job, filter, queues, isOfRuns)) return undefined;
  const state = storedState(known ?? (await storedStateOf(store, job)), job);
  if (state === undefined || filter.states?.has(state) === false) return undefined;
  return { job, state };
}

function matches(
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
  // A run is indexed by the tags of its parts too, but its envelope has only its own tags.
  if (tag !== undefined && !isOfRuns && job.envelope?.tags?.includes(tag) !== true) return false;
  const at = job.finishedAt ?? job.enqueuedAt;
  if (at === 0 && (sinceMs !== undefined || untilMs !== undefined)) return false; // unknown time
  return (sinceMs === undefined || at >= sinceMs) && (untilMs === undefined || at < untilMs);
}

/** Converts a state or a set of BullMQ to a state of Umbel. Returns undefined if the job is gone. */
function storedState(known: string, job: StoredJob): StoredState | undefined {
  const state = known === 'active' ? known : shownState(known === 'paused' ? 'waiting' : known, job);
  return isJobState(state) && state !== 'unknown' ? state : undefined;
}

const WAIT_JOBS: ReadonlySet<string> = new Set([INTERNAL_JOB.sleep, INTERNAL_JOB.loop, INTERNAL_JOB.wait]);

/** Dependencies of the queries, read at each call. */
export interface QueryDependencies {
  readonly store: Store;
  readonly workerQuery: WorkerQuery;
  readonly tags: TagIndex;
  readonly now: () => number;
  /** The queues of tasks that the app knows now. */
  readonly queues: readonly string[];
  /** @throws {UnknownQueueError} if the app has no such queue. */
  readonly checkQueue: (queue: string) => void;
}

export function jobQueries(dependenciesNow: () => QueryDependencies): Jobs {
  async function list(query: JobQuery = {}): Promise<Page<ListedJob>> {
    const { store, tags, now, queues, checkQueue } = dependenciesNow();
    const request = pageRequestOf(query, 'jobs');
    const { queue } = request.filter;
    if (queue !== undefined) checkQueue(queue);
    const chosen = queue === undefined ? queues : [queue];
    const page = await pageOf({ store, tags, now, queues: chosen, isOfRuns: false }, request);
    return { ...page, items: page.items.map(listedJob) };
  }
  return {
    list,
    all: (filter: JobFilter = {}) => allOf((page) => list({ ...filter, ...page })),
    async get(id) {
      const { store, queues } = dependenciesNow();
      const found = (await find(store, queues, id)) ?? (await findWait(store, id));
      return found && jobFacts(found, await collectInput(store, found.job, mayWait(found.state)));
    },
    async promote(id) {
      const { store, queues } = dependenciesNow();
      const found = await find(store, queues, id);
      if (found === undefined) throw new UnknownJobError(id, undefined);
      return found.state === 'delayed' && promoteJob(store, found.job);
    },
    async waitReason(id) {
      const { store, workerQuery, queues } = dependenciesNow();
      const found = await find(store, [...queues, INTERNAL_QUEUE], id);
      if (found === undefined) throw new UnknownJobError(id, undefined);
      return waitReasonOf({ store, workerQuery }, found);
    },
    async counts() {
      const { store, queues } = dependenciesNow();
      const counts = await Promise.all(queues.map((queue) => queueCounts(store, queue)));
      return {
        total: counts.reduce(sum),
        queues: Object.fromEntries(
          queues.map((queue, index) => [queue, counts[index] ?? counts.reduce(sum)]),
        ),
      };
    },
  };
}

export function runQueries(dependenciesNow: () => QueryDependencies): Runs {
  async function list(query: RunPageQuery = {}): Promise<Page<ListedRun>> {
    const { store, tags, now } = dependenciesNow();
    const request = pageRequestOf(query, 'runs');
    const page = await pageOf({ store, tags, now, queues: [INTERNAL_QUEUE], isOfRuns: true }, request);
    return { ...page, items: page.items.map(listedRun) };
  }
  return {
    list,
    all: (filter: RunFilter = {}) => allOf((page) => list({ ...filter, ...page })),
    async get(id) {
      const { store } = dependenciesNow();
      const found = await find(store, [INTERNAL_QUEUE], id);
      if (found === undefined) return undefined;
      const { name, problem } = found.job;
      if (!isRunJob(INTERNAL_QUEUE, name) && problem === undefined) return undefined;
      const part = await new RunReader(store).read({ queue: INTERNAL_QUEUE, id });
      const error = found.job.envelope?.failure?.error;
      return (
        part && { ...listedRun(found), counts: runCountsOf(part), ...(error !== undefined && { error }) }
      );
    },
  };
}

/** Yields the items of all pages. A job that moves on may be on two pages, so ids that have not ended are remembered. */
async function* allOf<Item extends ListedJob | ListedRun>(
  list: (page: { limit: number; cursor?: string }) => Promise<Page<Item>>,
): AsyncGenerator<Item, void> {
  const seen = new Set<string>();
  let cursor: string | undefined;
  do {
    const page = await list({ limit: 100, ...(cursor !== undefined && { cursor }) });
    for (const item of page.items) {
      if (seen.has(item.id)) continue;
      if (!isFinal(item.state)) seen.add(item.id);
      yield item;
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
}

async function find(store: Store, queues: readonly string[], id: string): Promise<FoundJob | undefined> {
  if (typeof id !== 'string' || !isJobId(id)) return undefined;
  for (const queue of queues) {
    const job = await knownJob(store, { queue, id });
    if (job === undefined) continue;
    const state = storedState(await storedStateOf(store, { queue, id }), job);
    if (state !== undefined) return { job, state };
  }
  return undefined;
}

/** Finds the internal job of a sleep, a loop or a `waitFor`. The other internal jobs are no steps. */
async function findWait(store: Store, id: string): Promise<FoundJob | undefined> {
  const found = await find(store, [INTERNAL_QUEUE], id);
  return found !== undefined && WAIT_JOBS.has(found.job.name) ? found : undefined;
}

function listedJob({ job, state }: FoundJob): ListedJob {
  return {
    ...jobInfoOf(job),
    state,
    ...(state === 'active' && job.ownState !== undefined && { ownState: job.ownState }),
    tags: job.envelope?.tags ?? [],
    ...reasonOf(job),
  };
}

/** Whether a job may have children that have not ended. */
function mayWait(state: StoredState): boolean {
  return state !== 'active' && !isFinal(state);
}

function jobFacts(found: FoundJob, collected: CollectedInput): JobFacts {
  const { progress, envelope, worker, stacks = [], attempts, name, queue, id } = found.job;
  const wait = stepWaitOf(name, { id, queue, state: found.state }, envelope ?? {});
  const { failure, expires } = envelope ?? {};
  return {
    ...listedJob(found),
    ...collected,
    ...(wait !== undefined && { wait }),
    ...(found.state === 'active' && { attempt: attempts + 1 }),
    ...(worker !== undefined && { worker }),
    errors: stacks,
    ...(progress !== undefined && { progress }),
    ...(failure !== undefined && { error: failure.error }),
    ...(expires !== undefined && { expiresAt: new Date(expires) }),
  };
}

function listedRun({ job, state }: FoundJob): ListedRun {
  const { tags = [], headers = {}, root, parent } = job.envelope ?? {};
  return {
    id: job.id,
    state,
    tags,
    headers,
    enqueuedAt: new Date(job.enqueuedAt),
    ...(job.finishedAt !== undefined && { finishedAt: new Date(job.finishedAt) }),
    rootId: root ?? job.id,
    ...(parent !== undefined && { parentId: parent }),
    ...reasonOf(job),
  };
}

function reasonOf({ failedReason, problem }: StoredJob): { reason?: string; problem?: string } {
  return {
    ...(failedReason !== undefined && { reason: failedReason }),
    ...(problem !== undefined && { problem }),
  };
}

function sum(a: QueueCounts, b: QueueCounts): QueueCounts {
  return {
    waiting: a.waiting + b.waiting,
    delayed: a.delayed + b.delayed,
    'waiting-children': a['waiting-children'] + b['waiting-children'],
    active: a.active + b.active,
    completed: a.completed + b.completed,
    failed: a.failed + b.failed,
  };
}
