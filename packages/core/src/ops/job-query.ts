/** Looking for jobs and runs: what can be asked, and what comes back. */

import { createHash } from 'node:crypto';
import { type ErrorRecord, InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import type { JobInfo } from '../client/async-result.js';
import { isJobId } from '../job/ids.js';
import { isJobState, type JobState } from '../job/states.js';
import type { QueueCounts } from '../store/queues.js';
import { checkTags } from '../task/option-checks.js';
import type { RunCounts } from '../workflow/graph-tally.js';
import { type CursorPlace, decodeCursor } from './cursor.js';

/** A state of what the store holds. */
export type StoredState = Exclude<JobState, 'unknown'>;

interface TimeQuery {
  /** In one of these states. Default: any. */
  state?: StoredState | readonly StoredState[] | undefined;
  /** Sent with this tag; of a composition, as a whole or in a part of it. */
  tag?: string | undefined;
  /** Ended at this moment or later; of what has not ended: was enqueued then. */
  since?: Date | undefined;
  /** Ended before this moment; of what has not ended: was enqueued then. */
  until?: Date | undefined;
}

interface PageQuery {
  /** Most items of a page. Default 50, at most 1,000. */
  limit?: number | undefined;
  /** The `cursor` of the page before, with the same query. */
  cursor?: string | undefined;
}

/** Which jobs are meant. */
export interface JobFilter extends TimeQuery {
  /** The task's name. */
  task?: string | undefined;
  /** Default: every queue that the app knows. */
  queue?: string | undefined;
  /** A step of the run of this id. */
  run?: string | undefined;
}

/** A page of jobs. */
export interface JobQuery extends JobFilter, PageQuery {}

/** Which runs are meant. */
export interface RunFilter extends TimeQuery {}

/** A page of runs. */
export interface RunPageQuery extends RunFilter, PageQuery {}

/** Some of what was asked for. */
export interface Page<Item> {
  /** May be fewer than `limit`, or none, also where more follows: the store is asked for at most 1,000 jobs a page. */
  readonly items: readonly Item[];
  /** For the next page; absent after the last one. */
  readonly cursor?: string;
}

/** A job as it is listed. */
export interface ListedJob extends JobInfo {
  readonly state: StoredState;
  /** The state of the task's own that its handler shows. */
  readonly ownState?: string;
  readonly tags: readonly string[];
  /** Why it failed, or its last attempt did, as the store shows it: with codecs, the name of the error only. */
  readonly reason?: string;
  /** Why its record cannot be read: it is gone, or holds something else. What it would tell is then left out. */
  readonly problem?: string;
}

/** All that is known of a job but its result, which its handle gives. */
export interface JobFacts extends ListedJob {
  /**
   * The input as the handler gets it: for a step, with what earlier steps have given; for a job of `chunks()`, a list of
   * inputs. While that is not known, the part that is stored with the job. `undefined` if it cannot be read.
   */
  readonly input: unknown;
  /** Ids of jobs that have to end before the whole input is known, at most 100; absent if it is. */
  readonly waitsFor?: readonly string[];
  /** Why the rest of the input cannot be read, such as an earlier step that has failed. */
  readonly inputProblem?: string;
  /** The latest value that its handler has reported. */
  readonly progress?: unknown;
  /** The attempt that runs, counted from 1; absent if none does. */
  readonly attempt?: number;
  /** The name of the worker that runs it, or has run its last attempt. */
  readonly worker?: string;
  /** What attempts have failed with, the latest last, with stacks as far as the store keeps them. */
  readonly errors: readonly string[];
  /** Why it failed for good. */
  readonly error?: ErrorRecord;
  /** It does not start after this moment. */
  readonly expiresAt?: Date;
}

/** A composition, or a call with callbacks, as it is listed. */
export interface ListedRun {
  readonly id: string;
  readonly state: StoredState;
  readonly tags: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly enqueuedAt: Date;
  readonly finishedAt?: Date;
  readonly rootId: string;
  readonly parentId?: string;
  /** As of a job. */
  readonly reason?: string;
  /** As of a job; it may then be another job of those that Umbel adds between tasks. */
  readonly problem?: string;
}

/** All that is known of a run but its result, which its handle gives. */
export interface RunFacts extends ListedRun {
  /** How far its tasks have come. */
  readonly counts: RunCounts;
  /** Why it failed. */
  readonly error?: ErrorRecord;
}

/** Jobs by state. */
export interface JobCounts {
  readonly total: QueueCounts;
  readonly queues: Readonly<Record<string, QueueCounts>>;
}

/**
 * The jobs of an app's tasks. Only BullMQ's own sets are read, by place: a list asks for at most 1,000 jobs a page,
 * whatever the number that the store holds.
 *
 * The order: by state, in the way that jobs go (`waiting-children`, `delayed`, `waiting`, `active`, those that failed in
 * any way, `completed`); those that have ended by time over all queues, the latest first, others by queue; with `tag`, by
 * when they were sent, the latest first; with `run`, steps below those that wait for them. A job that stays in its
 * state is on one page, once; one that moves on between two pages may be on both, and one that goes back on none.
 */
export interface Jobs {
  /** @throws {InvalidOptionError} if the query has a value it cannot have. @throws {UnknownQueueError} if no such queue is known. */
  list(query?: JobQuery): Promise<Page<ListedJob>>;
  /** Page after page. A job that moves on meanwhile is given once. @throws as `list`. */
  all(filter?: JobFilter): AsyncIterableIterator<ListedJob>;
  /**
   * `undefined` if no queue of the app holds a job of this id. Of a step, the results that its input is made of are read:
   * of one after a large group, all of them.
   */
  get(id: string): Promise<JobFacts | undefined>;
  /** Over all queues of the app, and for each. */
  counts(): Promise<JobCounts>;
}

/** The compositions of an app, and calls with callbacks; pages and their order as of `Jobs`. */
export interface Runs {
  /** @throws {InvalidOptionError} if the query has a value it cannot have. */
  list(query?: RunPageQuery): Promise<Page<ListedRun>>;
  /** Page after page. A run that moves on meanwhile is given once. @throws as `list`. */
  all(filter?: RunFilter): AsyncIterableIterator<ListedRun>;
  /** `undefined` if the store holds no run of this id. */
  get(id: string): Promise<RunFacts | undefined>;
}

// A query, checked.

/** What is looked for. */
export interface Filter {
  readonly states: ReadonlySet<StoredState> | undefined;
  readonly task: string | undefined;
  readonly queue: string | undefined;
  readonly tag: string | undefined;
  readonly run: string | undefined;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
}

/** A page that is looked for. */
export interface PageRequest {
  readonly filter: Filter;
  readonly limit: number;
  readonly from: CursorPlace | undefined;
  /** Tells the query apart from others, so that a cursor is used with its own. */
  readonly digest: string;
}

const OF_RUNS: OptionNames<RunPageQuery> = {
  state: true,
  tag: true,
  since: true,
  until: true,
  limit: true,
  cursor: true,
};
const OF_JOBS: OptionNames<JobQuery> = { ...OF_RUNS, task: true, queue: true, run: true };

const LIMIT = { usual: 50, max: 1000 };

/** @throws {InvalidOptionError} if the query has a value it cannot have. */
export function pageRequestOf(query: JobQuery, kind: 'jobs' | 'runs'): PageRequest {
  const {
    state,
    task,
    queue,
    tag,
    run,
    since,
    until,
    limit = LIMIT.usual,
    cursor,
  } = checkOptions<JobQuery>(
    query,
    kind === 'jobs' ? OF_JOBS : (OF_RUNS as OptionNames<JobQuery>), // a query of runs has fewer
    { option: 'query' },
  );
  const filter: Filter = {
    states: statesOf(state),
    task: textOf('task', task),
    queue: textOf('queue', queue),
    tag: tag === undefined ? undefined : checkTags([tag])[0],
    run:
      run === undefined || (typeof run === 'string' && isJobId(run))
        ? run
        : refuse('run', 'the id of a run', run),
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

function digestOf(kind: string, { states, ...others }: Filter): string {
  const text = JSON.stringify([
    kind,
    states && [...states].sort(),
    Object.values(others).map((value) => value ?? null),
  ]);
  return createHash('sha256').update(text).digest('base64url').slice(0, 12);
}

function refuse(option: string, expected: string, received: unknown): never {
  throw new InvalidOptionError(option, expected, received);
}
