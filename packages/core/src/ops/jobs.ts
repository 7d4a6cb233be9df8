/** This module implements `app.jobs` and `app.runs`. */

import { InvalidOptionError, UnknownJobError } from '../base/errors.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import { performance } from '../base/real-timers.js';
import { jobInfoOf } from '../client/result.js';
import { RunReader } from '../client/run/run-reader.js';
import type { WorkerQuery } from '../control/ask.js';
import { isJobId } from '../job/ids.js';
import { INTERNAL_JOB, INTERNAL_QUEUE, isRunJob } from '../job/job-tree.js';
import { isFinal, isJobState } from '../job/states.js';
import { type CollectedInput, collectInput } from '../store/job-input.js';
import { promoteJob, type QueueCounts, queueCounts } from '../store/queues.js';
import { jobInQueues, storedStateOf, unreadableJob } from '../store/read.js';
import { runHasTask } from '../store/run-tree.js';
import { isErrorNamed, isTaskNamed } from '../store/search-terms.js';
import type { Store } from '../store/store.js';
import { type StoredJob, shownState } from '../store/stored-job.js';
import type { TagIndex } from '../store/tags.js';
import { runGraph } from '../workflow/graph.js';
import { runCountsOf } from '../workflow/graph-tally.js';
import { stepWaitOf } from '../workflow/graph-waits.js';
import type { Candidate } from './candidates.js';
import { ConditionReader, STATES_OF } from './job-conditions.js';
import {
  encodeCursor,
  type Filter,
  type JobCondition,
  type JobFacts,
  type JobFilter,
  type JobPage,
  type JobQuery,
  type Jobs,
  LATE_AFTER_MS,
  type ListedJob,
  type ListedRun,
  type Page,
  type PageRequest,
  pageRequestOf,
  type RunFilter,
  type RunGetOptions,
  type RunPageQuery,
  type Runs,
  type StoredState,
} from './job-query.js';
import { candidates, type ScanDependencies } from './scans.js';
import { waitReasonOf } from './wait-reason.js';

/** Maximum number of jobs that one page reads. */
const MAX_READ_PER_PAGE = 1000;
/** Cost of a run whose jobs are searched for a task, in jobs read. */
const SEARCHED_RUN_COST = 20;

/** A job that matches a query, with its state. */
interface FoundJob {
  readonly job: StoredJob;
  readonly state: StoredState;
  readonly conditions?: readonly JobCondition[];
}

/** Returns the next page of matching jobs. */
async function pageOf(
  dependenciesNow: ScanDependencies,
  { filter: asked, limit, from, waitsForIndex, timeBudgetMs, digest }: PageRequest,
  conditions?: ConditionReader,
): Promise<JobPage<FoundJob>> {
  const endsAt = performance.now() + timeBudgetMs;
  const filter = withPossibleStates(asked);
  const notIndexed = { count: 0 };
  const dependencies = waitsForIndex ? dependenciesNow : { ...dependenciesNow, notIndexed };
  const source = candidates(dependencies, filter, from);
  const page = (items: readonly FoundJob[], read: number, cursor?: string): JobPage<FoundJob> => ({
    items,
    ...(cursor !== undefined && { cursor }),
    read,
    ...(notIndexed.count > 0 && { notIndexed: notIndexed.count }),
  });
  const items: FoundJob[] = [];
  try {
    for (let read = 0, cost = 0; ; ) {
      const some = await next(source, Math.min(EVALUATED, MAX_READ_PER_PAGE - read));
      // Concurrently, because each may read its state and its conditions from the store.
      const found = await Promise.all(some.map((each) => foundOf(dependenciesNow, filter, each, conditions)));
      for (const [index, candidate] of some.entries()) {
        read += 1;
        cost += isSearchedRun(dependencies, filter, candidate) ? SEARCHED_RUN_COST : 1;
        const job = found[index];
        if (job !== undefined) items.push(job);
        if (items.length >= limit || cost >= MAX_READ_PER_PAGE)
          return page(items, read, encodeCursor(candidate.place(), digest));
      }
      const last = some.at(-1);
      if (last === undefined || some.length < EVALUATED) return page(items, read);
      if (performance.now() >= endsAt) return page(items, read, encodeCursor(last.place(), digest));
    }
  } finally {
    await source.return(undefined);
  }
}

/** Returns whether the jobs of a candidate are read to find a task. */
function isSearchedRun(
  { isOfRuns }: ScanDependencies,
  { task }: Filter,
  { job, hasTask }: Candidate,
): boolean {
  return isOfRuns && task !== undefined && !hasTask && job !== undefined && isRunJob(job.queue, job.name);
}

/** Number of jobs whose states and conditions are read concurrently. */
const EVALUATED = 50;

/** Returns the next candidates, fewer than `count` only at the end. */
async function next(source: AsyncGenerator<Candidate>, count: number): Promise<Candidate[]> {
  const some: Candidate[] = [];
  while (some.length < count) {
    const { value, done } = await source.next();
    if (done) break;
    some.push(value);
  }
  return some;
}

/** Returns a candidate with its state and its conditions; undefined if it does not match. */
async function foundOf(
  dependenciesNow: ScanDependencies,
  filter: Filter,
  candidate: Candidate,
  conditions: ConditionReader | undefined,
): Promise<FoundJob | undefined> {
  const found = await matching(dependenciesNow, filter, candidate);
  if (found === undefined) return undefined;
  const { job, state } = found;
  const all = isFinal(state) ? [] : ((await conditions?.of(job, state)) ?? []);
  if (filter.condition !== undefined && !all.includes(filter.condition)) return undefined;
  return all.length === 0 ? found : { ...found, conditions: all };
}

/** States of jobs that have an error. */
const STATES_OF_ERRORS: readonly StoredState[] = ['failed', 'expired'];

/** Returns the filter, limited to the states in which jobs have its condition and its error. */
function withPossibleStates(filter: Filter): Filter {
  const { condition, error } = filter;
  let { states } = filter;
  const limitTo = (possible: readonly StoredState[]): void => {
    const asked = states;
    states = new Set(possible.filter((state) => asked === undefined || asked.has(state)));
  };
  if (condition !== undefined) limitTo(STATES_OF[condition]);
  if (error !== undefined) limitTo(STATES_OF_ERRORS);
  return { ...filter, states };
}

async function matching(
  { store, queues, isOfRuns }: ScanDependencies,
  filter: Filter,
  { job: read, at, state: known, hasTask }: Candidate,
): Promise<FoundJob | undefined> {
  // A job whose task, tags and error cannot be read does not match a filter by them.
  const { task, name, tag, error } = filter;
  const matchesAny = [task, name, tag, error].every((each) => each === undefined);
  const job = read ?? (matchesAny && at !== undefined ? await unreadableJob(store, at) : undefined);
  if (job === undefined || !matches(job, filter, queues, isOfRuns)) return undefined;
  const state = storedState(known ?? (await storedStateOf(store, job)), job);
  if (state === undefined || filter.states?.has(state) === false) return undefined;
  if (isOfRuns && task !== undefined && !hasTask) {
    const isOfTask = (name: string) => isTaskNamed(name, task);
    if (!(await runHasTask(store, job, isOfTask))) return undefined;
  }
  return { job, state };
}

function matches(
  job: StoredJob,
  { task, error, name, tag, sinceMs, untilMs }: Filter,
  queues: readonly string[],
  isOfRuns: boolean,
): boolean {
  const isInternal = job.queue === INTERNAL_QUEUE;
  const mayBeRun = isRunJob(job.queue, job.name) || (job.problem !== undefined && !OTHER_JOBS.has(job.name));
  if (isOfRuns ? !(isInternal && mayBeRun) : isInternal) return false;
  if (!queues.includes(job.queue)) return false;
  if (task !== undefined && !isOfRuns && !isTaskNamed(job.name, task)) return false; // a run has those of its jobs
  if (name !== undefined && !isRunNamed(job.envelope?.label ?? '', name)) return false;
  if (error !== undefined && !hasError(job, error)) return false;
  // A run is indexed by the tags of its parts too, but its envelope has only its own tags.
  if (tag !== undefined && !isOfRuns && job.envelope?.tags?.includes(tag) !== true) return false;
  const at = job.finishedAt ?? job.enqueuedAt;
  if (at === 0 && (sinceMs !== undefined || untilMs !== undefined)) return false; // unknown time
  return (sinceMs === undefined || at >= sinceMs) && (untilMs === undefined || at < untilMs);
}

/** Whether a run has this name, or one that begins with the text before a `*`. */
function isRunNamed(name: string, searched: string): boolean {
  return searched.endsWith('*') ? name.startsWith(searched.slice(0, -1)) : name === searched;
}

/** Whether a job failed with an error of this name or code, not because a step before it failed. */
function hasError({ id, envelope }: StoredJob, error: string): boolean {
  const { failure } = envelope ?? {};
  return failure?.jobId === id && isErrorNamed(failure.error, error);
}

/** Converts a state or a set of BullMQ to a state of Umbel. Returns undefined if the job is gone. */
function storedState(known: string, job: StoredJob): StoredState | undefined {
  const state = known === 'active' ? known : shownState(known === 'paused' ? 'waiting' : known, job);
  return isJobState(state) && state !== 'unknown' ? state : undefined;
}

const CONDITION_OPTIONS: OptionNames<Pick<JobFilter, 'queue' | 'lateAfter'>> = {
  queue: true,
  lateAfter: true,
};

/** Names of internal jobs that are no runs. */
const OTHER_JOBS: ReadonlySet<string> = new Set(
  Object.values(INTERNAL_JOB).filter((name) => name !== INTERNAL_JOB.run),
);

const GET_OPTIONS: OptionNames<RunGetOptions> = { graph: true };

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
  async function found(query: JobQuery, isOldestFirst?: boolean): Promise<JobPage<FoundJob>> {
    const { store, workerQuery, tags, now, queues, checkQueue } = dependenciesNow();
    const request = pageRequestOf(query, 'jobs');
    const { queue } = request.filter;
    if (queue !== undefined) checkQueue(queue);
    const chosen = queue === undefined ? queues : [queue];
    await store.timeKnown();
    const { lateAfterMs } = request.filter;
    const conditions = new ConditionReader({ store, workerQuery, now, lateAfterMs });
    const dependencies = { store, tags, now, queues: chosen, isOfRuns: false };
    const filter = { ...request.filter, ...(isOldestFirst !== undefined && { isOldestFirst }) };
    return pageOf(dependencies, { ...request, filter }, conditions);
  }
  async function list(query: JobQuery = {}): Promise<JobPage<ListedJob>> {
    const page = await found(query);
    return { ...page, items: page.items.map(listedJob) };
  }
  return {
    list,
    all: (filter: JobFilter = {}) => allOf((page) => list({ ...filter, ...page, waitForIndex: true })),
    async get(id) {
      const { store, workerQuery, queues, now } = dependenciesNow();
      const found = (await find(store, queues, id)) ?? (await findWait(store, id));
      if (found === undefined) return undefined;
      const { job, state } = found;
      await store.timeKnown();
      const reader = new ConditionReader({ store, workerQuery, now, lateAfterMs: LATE_AFTER_MS });
      const conditions = job.queue === INTERNAL_QUEUE ? [] : await reader.of(job, state);
      const input = await collectInput(store, job, mayWait(state));
      return jobFacts(conditions.length === 0 ? found : { ...found, conditions }, input);
    },
    async promote(id) {
      const { store, queues } = dependenciesNow();
      const found = await find(store, queues, id);
      if (found === undefined) throw new UnknownJobError(id, undefined);
      return found.state === 'delayed' && promoteJob(store, found.job);
    },
    async waitReason(id) {
      const { store, workerQuery, queues, now } = dependenciesNow();
      const found = await find(store, [...queues, INTERNAL_QUEUE], id);
      if (found === undefined) throw new UnknownJobError(id, undefined);
      await store.timeKnown();
      const conditions = new ConditionReader({ store, workerQuery, now, lateAfterMs: LATE_AFTER_MS });
      return waitReasonOf({ store, workerQuery, conditions }, found);
    },
    async conditions(options = {}) {
      checkOptions(options, CONDITION_OPTIONS);
      const { queue, lateAfter } = options;
      const read = (state: readonly StoredState[]) =>
        found({ state, queue, lateAfter, limit: MAX_READ_PER_PAGE }, true);
      const [waiting, active] = await Promise.all([read(STATES_OF.late), read(STATES_OF.stuck)]);
      const count = (condition: JobCondition, { items, cursor }: JobPage<FoundJob>) => ({
        count: items.filter((item) => item.conditions?.includes(condition)).length,
        isComplete: cursor === undefined,
      });
      return {
        retrying: count('retrying', waiting),
        late: count('late', waiting),
        stuck: count('stuck', active),
      };
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
  async function list(query: RunPageQuery = {}): Promise<JobPage<ListedRun>> {
    const { store, tags, now } = dependenciesNow();
    const request = pageRequestOf(query, 'runs');
    const page = await pageOf({ store, tags, now, queues: [INTERNAL_QUEUE], isOfRuns: true }, request);
    return { ...page, items: page.items.map(listedRun) };
  }
  return {
    list,
    all: (filter: RunFilter = {}) => allOf((page) => list({ ...filter, ...page, waitForIndex: true })),
    async get(id, options = {}) {
      const { store } = dependenciesNow();
      const { graph: hasGraph = false } = checkOptions(options, GET_OPTIONS);
      if (typeof hasGraph !== 'boolean') throw new InvalidOptionError('graph', 'true or false', hasGraph);
      const found = await find(store, [INTERNAL_QUEUE], id);
      if (found === undefined) return undefined;
      const { name, problem } = found.job;
      if (!isRunJob(INTERNAL_QUEUE, name) && problem === undefined) return undefined;
      const reader = new RunReader(store, { withCallbacks: hasGraph });
      const part = await reader.read({ queue: INTERNAL_QUEUE, id });
      const error = found.job.envelope?.failure?.error;
      return (
        part && {
          ...listedRun(found),
          counts: runCountsOf(part),
          ...(error !== undefined && { error }),
          ...(hasGraph && { graph: runGraph(part, id) }),
        }
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
  const records = await jobInQueues(store, queues, id);
  for (const { job, state: known } of records) {
    if (job === undefined) continue;
    const state = storedState(known ?? (await storedStateOf(store, job)), job);
    if (state !== undefined) return { job, state };
  }
  for (const [index, queue] of queues.entries()) {
    if (records[index]?.state === 'unknown') continue;
    const job = await unreadableJob(store, { queue, id });
    const state = job && storedState(await storedStateOf(store, { queue, id }), job);
    if (job !== undefined && state !== undefined) return { job, state };
  }
  return undefined;
}

/** Finds the internal job of a sleep, a loop or a `waitFor`. The other internal jobs are no steps. */
async function findWait(store: Store, id: string): Promise<FoundJob | undefined> {
  const found = await find(store, [INTERNAL_QUEUE], id);
  return found !== undefined && WAIT_JOBS.has(found.job.name) ? found : undefined;
}

function listedJob({ job, state, conditions }: FoundJob): ListedJob {
  return {
    ...jobInfoOf(job),
    state,
    ...(conditions !== undefined && { conditions }),
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
  const { tags = [], headers = {}, label = '', root, parent } = job.envelope ?? {};
  return {
    id: job.id,
    name: label,
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
