/** This module defines and checks the queries of `app.jobs` and `app.runs`, their results, and the cursors of their pages. */

import { type ErrorRecord, InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import { type Duration, durationMs } from '../base/time.js';
import type { JobInfo } from '../client/async-result.js';
import { digestId, isJobId } from '../job/ids.js';
import { isJobState, type JobState } from '../job/states.js';
import type { QueueCounts } from '../store/queues.js';
import type { TagMark } from '../store/tags.js';
import { checkTags } from '../task/option-checks.js';
import type { RunGraph } from '../workflow/graph.js';
import type { RunCounts } from '../workflow/graph-tally.js';
import type { StepWait } from '../workflow/graph-waits.js';

/** A state of what the store holds. */
export type StoredState = Exclude<JobState, 'unknown'>;

/**
 * A condition of a job that has not ended.
 *
 * - `retrying`: it waits for another attempt.
 * - `late`: it could have started longer ago than `lateAfter`. For a retry the time counts from the start of the last attempt
 *   and the longest delay that its policy allows; while a retry is `delayed`, it is not late.
 * - `stuck`: it is active, but its worker has sent no heartbeat for three intervals, or its lock has expired, or it runs for 10
 *   seconds longer than its time limit.
 */
export type JobCondition = 'retrying' | 'late' | 'stuck';

interface TimeQuery {
  /** In one of these states. Default: any. */
  state?: StoredState | readonly StoredState[] | undefined;
  /** Sent with this tag. A workflow run matches if the run or a part of it has the tag. */
  tag?: string | undefined;
  /** Ended at this moment or later. For jobs that have not ended: enqueued at this moment or later. */
  since?: Date | undefined;
  /** Ended before this moment. For jobs that have not ended: enqueued before this moment. */
  until?: Date | undefined;
}

interface PageQuery {
  /** Maximum number of items of a page. Default 50, at most 1,000. */
  limit?: number | undefined;
  /** The `cursor` of the previous page, with the same query; the moments of `since` and `until` may be others. */
  cursor?: string | undefined;
  /**
   * For searches in an index: wait until all calls that were sent before are in it, which takes a minute for some 200,000.
   * Default false: see `JobPage.notIndexed`.
   */
  waitForIndex?: boolean | undefined;
  /** Time after which a page ends with what it has found; it reads at least 50 jobs. Default: none. */
  timeBudget?: Duration | undefined;
}

/** Selects jobs. */
export interface JobFilter extends TimeQuery {
  /** The task's name, or the beginning of names: `'mail.*'`. */
  task?: string | undefined;
  /**
   * Failed or expired with an error of this name, with or without `Error` at its end, or of this code: `'TypeError'`,
   * `'Type'`, `'ECONNREFUSED'`. Jobs that failed because a step before them failed do not match.
   */
  error?: string | undefined;
  /** Default: every queue that the app knows. */
  queue?: string | undefined;
  /** A step of the run of this id. */
  run?: string | undefined;
  /** With this condition. Late jobs are listed with those first that are taken next. */
  condition?: JobCondition | undefined;
  /** How long a job that could start may wait before it is `late`. Default 5 minutes. */
  lateAfter?: Duration | undefined;
}

/** A page of jobs. */
export interface JobQuery extends JobFilter, PageQuery {}

/** Selects workflow runs. */
export interface RunFilter extends TimeQuery {
  /** The run's name, or the beginning of names: `'invoice*'`. */
  name?: string | undefined;
  /**
   * The name of a task of the run, or the beginning of names: `'mail.*'`. Without `searchIndex`, it reads some 100 jobs of each
   * run, from the last step down, and one page has at most 50 runs.
   */
  task?: string | undefined;
}

/** A page of runs. */
export interface RunPageQuery extends RunFilter, PageQuery {}

/** A page of results. */
export interface Page<Item> {
  /** May be fewer than `limit`, or none, even if more pages follow: one page reads at most 1,000 jobs. */
  readonly items: readonly Item[];
  /** Position of the next page. Absent on the last page. */
  readonly cursor?: string;
}

/** A page of jobs or of workflow runs. */
export interface JobPage<Item> extends Page<Item> {
  /** Number of entries that were read for the page: jobs, and in the index of tags or of a search also entries of runs. */
  readonly read: number;
  /**
   * Number of calls and runs that were sent lately, wait for the index, and were not searched: the latest 1,000 always are.
   * Absent if there is none.
   */
  readonly notIndexed?: number;
}

/** A job in a list. */
export interface ListedJob extends JobInfo {
  readonly state: StoredState;
  /** The custom state that the handler has set. */
  readonly ownState?: string;
  readonly tags: readonly string[];
  /** The conditions of the job. Absent if it has none. */
  readonly conditions?: readonly JobCondition[];
  /** Why the job or its last attempt failed, as stored: with codecs, only the name of the error. */
  readonly reason?: string;
  /** Why the record cannot be read: it is missing or invalid. Its fields are left out then. */
  readonly problem?: string;
}

/** All facts about a job, without its result, which `app.result(id)` reads. */
export interface JobFacts extends ListedJob {
  /**
   * The input of the handler: for a step, with the results of earlier steps; for a job of `chunks()`, a list of inputs.
   * Until it is complete, the part that is stored with the job. `undefined` if it cannot be read.
   */
  readonly input: unknown;
  /** Ids of jobs that must end before the input is complete, at most 100. Absent if it is complete. */
  readonly waitsFor?: readonly string[];
  /** The wait of a sleep, a loop or a `waitFor` that has not ended. Absent for tasks. */
  readonly wait?: StepWait;
  /** Why the rest of the input cannot be read, such as an earlier step that failed. */
  readonly inputProblem?: string;
  /** The latest progress that the handler has reported. */
  readonly progress?: unknown;
  /** The number of the running attempt, from 1. Absent if none runs. */
  readonly attempt?: number;
  /** The name of the worker of the running or the last attempt. */
  readonly worker?: string;
  /** The errors of the attempts, latest last, with stacks as far as the store keeps them. */
  readonly errors: readonly string[];
  /** Why the job failed. */
  readonly error?: ErrorRecord;
  /** The job does not start after this moment. */
  readonly expiresAt?: Date;
}

/** A workflow run, or a call with callbacks, in a list. */
export interface ListedRun {
  readonly id: string;
  /** The name given by `named`, else the tasks of the workflow: `'fetch → [words, links] → publish'`, at most 100 characters. */
  readonly name: string;
  readonly state: StoredState;
  readonly tags: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly enqueuedAt: Date;
  readonly finishedAt?: Date;
  readonly rootId: string;
  readonly parentId?: string;
  /** See `ListedJob.reason`. */
  readonly reason?: string;
  /** See `ListedJob.problem`. The record may be that of another internal job. */
  readonly problem?: string;
}

/** All facts about a run, without its result, which `app.result(id)` reads. */
export interface RunFacts extends ListedRun {
  /** The tasks of the run by state. */
  readonly counts: RunCounts;
  /** Why the run failed. */
  readonly error?: ErrorRecord;
  /** The graph that `AsyncResult.graph()` returns. Present with the option `graph`. */
  readonly graph?: RunGraph;
}

/** Options of `app.runs.get`. */
export interface RunGetOptions {
  /** Whether to read the graph. Default false. */
  graph?: boolean | undefined;
}

/** Why a job or a workflow run has not ended. */
export interface WaitReason {
  /**
   * - `steps`: it waits for other jobs, `jobs`.
   * - `signal`, `sleep`, `loop`: it is a step that waits.
   * - `delay`: it was sent with `countdown` or `eta`. `retry`: an attempt failed.
   * - `paused`, `unserved`, `rate-limit`, `concurrency`: its queue starts no job.
   * - `queued`: other jobs are taken before it, or no worker has a free slot.
   * - `stuck`: it is active, but does not run, see `JobCondition`.
   */
  readonly kind:
    | 'steps'
    | 'signal'
    | 'sleep'
    | 'loop'
    | 'delay'
    | 'retry'
    | 'paused'
    | 'unserved'
    | 'rate-limit'
    | 'concurrency'
    | 'queued'
    | 'stuck';
  /** One sentence or two for people, in English. Times are ISO 8601. */
  readonly text: string;
  /** When it ends by itself at the earliest. Absent if that is unknown. */
  readonly until?: Date;
  /** Ids of the jobs that it waits for and that wait for no other: at most 100. Present for `steps`. */
  readonly jobs?: readonly string[];
  /** Number of jobs that are taken before it. Present for `queued`, if there are fewer than 1,000. */
  readonly ahead?: number;
}

/** Numbers of jobs by condition. */
export type ConditionCounts = Readonly<
  Record<JobCondition, { readonly count: number; readonly isComplete: boolean }>
>;

/** Numbers of jobs by state. */
export interface JobCounts {
  readonly total: QueueCounts;
  readonly queues: Readonly<Record<string, QueueCounts>>;
}

/**
 * The jobs of an app's tasks. One page reads at most 1,000 jobs from BullMQ's sets, however many the store holds.
 *
 * Order: by state (`waiting-children`, `delayed`, `waiting`, `active`, all failed states, `completed`). Ended jobs are
 * sorted by time over all queues, latest first; other jobs by queue. With `tag`: by time of sending, latest first. With
 * `run`: each step before the steps that it waits for. With `task` or `error` in an app with `searchIndex`, if there are more
 * than 1,000 jobs to read otherwise: by time of sending or failure, latest first, and only jobs that are in the index. A job that keeps its state is listed once. A job that moves on
 * between two pages may be on both; a job that moves back may be on none.
 *
 * @example
 * const { items, cursor } = await app.jobs.list({ state: 'failed', task: 'mail.send', limit: 20 });
 * for await (const job of app.jobs.all({ tag: 'import' })) console.log(job.id, job.state);
 */
export interface Jobs {
  /** Returns one page. @throws {InvalidOptionError} if the query is invalid. @throws {UnknownQueueError} if the queue is unknown. */
  list(query?: JobQuery): Promise<JobPage<ListedJob>>;
  /** Yields the jobs of all pages, each once, and waits for the index (`waitForIndex`). @throws as `list`. */
  all(filter?: JobFilter): AsyncIterableIterator<ListedJob>;
  /**
   * Returns a job, or `undefined` if no queue of the app holds it. For a step it also reads the results that its input
   * consists of: after a large group, those of all members. Sleeps, loops and waits for signals are found too.
   */
  get(id: string): Promise<JobFacts | undefined>;
  /** Returns the numbers of jobs of all queues together and of each queue. */
  counts(): Promise<JobCounts>;
  /**
   * Counts the jobs with each condition. It reads at most 1,000 jobs that wait, those that are taken next, and 1,000 active
   * ones: `isComplete` is false if there may be more.
   * @throws {InvalidOptionError} if an option is invalid.
   * @example
   * const { late, stuck } = await app.jobs.conditions({ lateAfter: '10m' });
   * console.log(late.count, stuck.count);
   */
  conditions(options?: Pick<JobFilter, 'queue' | 'lateAfter'>): Promise<ConditionCounts>;
  /**
   * Returns why a job or a workflow run has not ended; undefined if it has ended or its handler runs. A job that is late by
   * 5 minutes says since when. It reads at most 1,000
   * jobs: a run with more open steps has the reason of the first ones.
   * @throws {UnknownJobError} if no queue of the app holds the job.
   * @example
   * const reason = await app.jobs.waitReason(result.id);
   * console.log(reason?.kind, reason?.text); // paused It waits because queue "mail" is paused.
   */
  waitReason(id: string): Promise<WaitReason | undefined>;
  /**
   * Makes a delayed job of a task due now: one that was sent with `countdown` or `eta`, or that waits for a retry. Returns
   * false if the job is not delayed.
   * @throws {UnknownJobError} if no queue of the app holds the job. For steps that wait, use `wake` of their run.
   * @example
   * const isDue = await app.jobs.promote(result.id);
   */
  promote(id: string): Promise<boolean>;
}

/**
 * The workflow runs of an app, and calls with callbacks. Pages and order are those of `Jobs`.
 *
 * @example
 * for await (const { id, state } of app.runs.all({ state: 'failed' })) console.log(id, state);
 */
export interface Runs {
  /** Returns one page. @throws {InvalidOptionError} if the query is invalid. */
  list(query?: RunPageQuery): Promise<JobPage<ListedRun>>;
  /** Yields the runs of all pages, each once, and waits for the index (`waitForIndex`). @throws as `list`. */
  all(filter?: RunFilter): AsyncIterableIterator<ListedRun>;
  /**
   * Returns a run, or `undefined` if the store does not hold it.
   * @throws {InvalidOptionError} if an option is invalid.
   */
  get(id: string, options?: RunGetOptions): Promise<RunFacts | undefined>;
}

// Checks

/** A checked filter. */
export interface Filter {
  readonly states: ReadonlySet<StoredState> | undefined;
  readonly task: string | undefined;
  readonly error: string | undefined;
  /** The name of a run; only in queries of runs. */
  readonly name: string | undefined;
  readonly queue: string | undefined;
  readonly tag: string | undefined;
  readonly run: string | undefined;
  readonly condition: JobCondition | undefined;
  readonly lateAfterMs: number;
  /** Whether jobs that wait are read in the order in which they are taken, instead of the latest first. */
  readonly isOldestFirst: boolean;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
}

/** A checked request for a page. */
export interface PageRequest {
  readonly filter: Filter;
  readonly limit: number;
  readonly from: CursorPlace | undefined;
  readonly waitsForIndex: boolean;
  /** Infinite if there is none. */
  readonly timeBudgetMs: number;
  /** Hash of the query: a cursor is only valid with the query that returned it. */
  readonly digest: string;
}

const TIME_OPTIONS: OptionNames<TimeQuery & PageQuery> = {
  state: true,
  tag: true,
  since: true,
  until: true,
  limit: true,
  cursor: true,
  waitForIndex: true,
  timeBudget: true,
};
const RUN_OPTIONS: OptionNames<RunPageQuery> = { ...TIME_OPTIONS, name: true, task: true };
const JOB_OPTIONS: OptionNames<JobQuery> = {
  ...TIME_OPTIONS,
  task: true,
  error: true,
  queue: true,
  run: true,
  condition: true,
  lateAfter: true,
};

const LIMIT = { usual: 50, max: 1000 };
const CONDITIONS: Readonly<Record<JobCondition, true>> = { retrying: true, late: true, stuck: true };
/** Time after which `late` begins unless the query says otherwise. */
export const LATE_AFTER_MS = 300_000;

/** Checks a query. @throws {InvalidOptionError} if it has an invalid value or an unknown key. */
export function pageRequestOf(query: JobQuery | RunPageQuery, kind: 'jobs' | 'runs'): PageRequest {
  const {
    state,
    task,
    error,
    name,
    queue,
    tag,
    run,
    condition,
    lateAfter,
    since,
    until,
    limit = LIMIT.usual,
    cursor,
    waitForIndex = false,
    timeBudget,
  } = checkOptions<JobQuery & RunPageQuery>(
    query,
    (kind === 'jobs' ? JOB_OPTIONS : RUN_OPTIONS) as OptionNames<JobQuery & RunPageQuery>, // each has some of them
    { option: 'query' },
  );
  const filter: Filter = {
    states: statesOf(state),
    task: textOf('task', task),
    error: textOf('error', error),
    name: textOf('name', name),
    queue: textOf('queue', queue),
    tag: tag === undefined ? undefined : checkTags([tag])[0],
    run:
      run === undefined || (typeof run === 'string' && isJobId(run))
        ? run
        : refuse('run', 'the id of a run', run),
    condition:
      condition === undefined || Object.hasOwn(CONDITIONS, condition)
        ? condition
        : refuse('condition', Object.keys(CONDITIONS).join(', '), condition),
    lateAfterMs: lateAfter === undefined ? LATE_AFTER_MS : durationMs(lateAfter, 'lateAfter'),
    isOldestFirst: condition === 'late', // late jobs are old: in a long queue they are all at the end that is taken next
    sinceMs: timeOf('since', since),
    untilMs: timeOf('until', until),
  };
  const { sinceMs = 0, untilMs = Number.POSITIVE_INFINITY } = filter;
  if (sinceMs > untilMs) refuse('until', 'later than `since`', until);
  const digest = digestOf(kind, filter);
  return {
    filter,
    limit: checkInteger('limit', limit, 1, LIMIT.max),
    from: cursor === undefined ? undefined : decodeCursor(cursor, digest),
    waitsForIndex:
      typeof waitForIndex === 'boolean'
        ? waitForIndex
        : refuse('waitForIndex', 'true or false', waitForIndex),
    timeBudgetMs: timeBudget === undefined ? Number.POSITIVE_INFINITY : durationMs(timeBudget, 'timeBudget'),
    digest,
  };
}

function statesOf(state: unknown): ReadonlySet<StoredState> | undefined {
  if (state === undefined) return undefined;
  const states: unknown[] = Array.isArray(state) ? state : [state];
  const isValid = (each: unknown): each is StoredState =>
    typeof each === 'string' && isJobState(each) && each !== 'unknown';
  return states.length > 0 && states.every(isValid)
    ? new Set(states)
    : refuse('state', 'a state of stored jobs, or a list of states', state);
}

function textOf(option: string, text: unknown): string | undefined {
  if (text === undefined) return undefined;
  return typeof text === 'string' && text !== '' ? text : refuse(option, 'a name', text);
}

function timeOf(option: string, date: unknown): number | undefined {
  if (date === undefined) return undefined;
  return date instanceof Date && !Number.isNaN(date.getTime())
    ? date.getTime()
    : refuse(option, 'a valid Date', date);
}

/** The times do not count: `since: two hours ago` is another moment for each page. A place is valid for all of them. */
function digestOf(kind: string, { states, sinceMs, untilMs, ...others }: Filter): string {
  const text = JSON.stringify([
    kind,
    states && [...states].sort(),
    [sinceMs !== undefined, untilMs !== undefined],
    Object.values(others).map((value) => value ?? null),
  ]);
  return digestId(text, 12);
}

function refuse(option: string, expected: string, received: unknown): never {
  throw new InvalidOptionError(option, expected, received);
}

// Cursors: the end of a page as opaque text, from which the next page continues.

/** The position where the next page continues. */
export type CursorPlace = LivePlace | EndedPlace | WalkPlace | TagPlace;

/** In a set of jobs that have not ended: behind the last of these jobs that is still there, or else at an index. */
export interface LivePlace {
  readonly kind: 'live';
  readonly set: string;
  readonly queue: string;
  readonly index: number;
  /** Marks of the jobs that were listed last, latest last. */
  readonly near: readonly string[];
}

/** Among ended jobs: behind a job by its time and id. `indexes`: its index in each queue when the page was read. */
export interface EndedPlace {
  readonly kind: 'ended';
  readonly set: string;
  readonly at: number;
  readonly id: string;
  readonly indexes: Readonly<Record<string, number>>;
}

/** In a run: behind a job. `path`: the ids from the run down to it. */
export interface WalkPlace {
  readonly kind: 'walk';
  readonly path: readonly string[];
}

/** In the index of a tag: behind an entry, or behind a job of the run that the entry refers to. */
export interface TagPlace {
  readonly kind: 'tag';
  readonly mark: TagMark;
  readonly path?: readonly string[];
}

/** Maximum length of a cursor. That of a job at the end of a chain of thousands is shorter. */
const MAX_LENGTH = 1_000_000;

export function encodeCursor(place: CursorPlace, digest: string): string {
  return `${digest}.${Buffer.from(JSON.stringify(place)).toString('base64url')}`;
}

/** @throws {InvalidOptionError} if it is not a cursor, or belongs to another query. */
export function decodeCursor(cursor: unknown, digest: string): CursorPlace {
  const place =
    typeof cursor === 'string' && cursor.length <= MAX_LENGTH ? parsed(cursor, digest) : undefined;
  if (isPlainObject(place) && isPlace(place)) return place as unknown as CursorPlace; // each field was checked
  throw new InvalidOptionError('cursor', 'the `cursor` of a page of the same query', cursor);
}

function parsed(cursor: string, digest: string): unknown {
  if (!cursor.startsWith(`${digest}.`)) return undefined;
  try {
    return JSON.parse(Buffer.from(cursor.slice(digest.length + 1), 'base64url').toString());
  } catch {
    return undefined;
  }
}

function isPlace({
  kind,
  set,
  queue,
  index,
  near,
  at,
  id,
  indexes,
  path,
  mark,
}: Record<string, unknown>): boolean {
  switch (kind) {
    case 'live':
      return isText(set) && isText(queue) && isIndex(index) && isTexts(near);
    case 'ended':
      return (
        isText(set) &&
        isText(id) &&
        isIndex(at) &&
        isPlainObject(indexes) &&
        Object.values(indexes).every(isIndex)
      );
    case 'walk':
      return isTexts(path);
    case 'tag':
      return isTagMark(mark) && (path === undefined || isTexts(path));
    default:
      return false;
  }
}

function isTagMark(mark: unknown): boolean {
  if (!isPlainObject(mark)) return false;
  const { at, queue, id, day, line } = mark;
  return 'at' in mark ? isIndex(at) && isText(queue) && isText(id) : isIndex(day) && isIndex(line);
}

const isText = (value: unknown) => typeof value === 'string';
const isTexts = (value: unknown) => Array.isArray(value) && value.every(isText);
const isIndex = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
