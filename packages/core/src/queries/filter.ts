/** A query, checked. */

import { createHash } from 'node:crypto';
import { isJobId } from '../bullmq/job-id.js';
import { InvalidOptionError } from '../errors.js';
import { isJobState } from '../results/state.js';
import { checkOptions, type OptionNames } from '../tasks/known-options.js';
import { checkInteger, checkTags } from '../tasks/options.js';
import { type CursorPlace, decodeCursor } from './cursor.js';
import type { JobQuery, RunPageQuery, StoredState } from './query.js';

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
    : refuse('state', 'a state of stored jobs, or a list of those', state);
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
