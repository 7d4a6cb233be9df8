/** This module checks queries of failed jobs. `dead-letters` answers them. */
import { InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkOptions, checkText, type OptionNames } from '../base/option-checks.js';
import type { DeadLetterPosition } from '../store/failed-jobs.js';
import { checkName, checkQueue, checkTags } from '../task/option-checks.js';

const STATES = ['failed', 'expired'] as const;

/** Selects dead letters. A dead letter must match all fields. */
export interface DeadLetterFilter {
  /** Default: every queue that the app knows. */
  queue?: string | undefined;
  /** The name of a task. */
  task?: string | undefined;
  /** The `name` or the `code` of the error: `'TypeError'`, `'TIME_LIMIT'`. */
  error?: string | undefined;
  /** The `id` of an error group, as `groups` returns it. */
  group?: string | undefined;
  /** How the job ended. Revoked and skipped jobs are not dead letters: use `app.jobs.list({ state: 'revoked' })`. */
  state?: (typeof STATES)[number] | undefined;
  /** A tag of the job. */
  tag?: string | undefined;
  /** Earliest failure. */
  since?: Date | undefined;
  /** Latest failure. */
  until?: Date | undefined;
  /** Continues after this position of the list: the `cursor` of a dead letter, or the one that a bulk call returned. */
  cursor?: string | undefined;
}

/** Selects dead letters for a list. */
export interface DeadLetterQuery extends DeadLetterFilter {
  /** Maximum number of dead letters, from 1 to 1000. Default 100. */
  limit?: number | undefined;
  /** Number of dead letters to skip. Default 0. `cursor` costs less, and skips none if others are removed concurrently. */
  offset?: number | undefined;
}

/** Selects a page of dead letters. */
export interface DeadLetterPageQuery extends DeadLetterFilter {
  /** Maximum number of dead letters, from 1 to 1000. Default 100. */
  limit?: number | undefined;
}

/** Selects the dead letters to group. */
export interface ErrorGroupQuery extends DeadLetterFilter {
  /** Maximum number of failed jobs to read, from 1 to 10,000. Default 1000. */
  maxRead?: number | undefined;
}

/** Returns the position of a dead letter as opaque text. */
export function cursorOf({ at, queue, id }: DeadLetterPosition): string {
  return Buffer.from(JSON.stringify([at, queue, id])).toString('base64url');
}

/** A checked filter. */
export interface DeadLetterSearch {
  readonly queue: string | undefined;
  readonly task: string | undefined;
  readonly error: string | undefined;
  readonly group: string | undefined;
  readonly state: string | undefined;
  readonly tag: string | undefined;
  readonly sinceMs: number;
  /** Absent: no bound. */
  readonly untilMs: number | undefined;
  readonly after: DeadLetterPosition | undefined;
}

const FILTER: OptionNames<DeadLetterFilter> = {
  queue: true,
  task: true,
  error: true,
  group: true,
  state: true,
  tag: true,
  since: true,
  until: true,
  cursor: true,
};
export const LIST_OPTIONS: OptionNames<DeadLetterQuery> = { ...FILTER, limit: true, offset: true };
export const PAGE_OPTIONS: OptionNames<DeadLetterPageQuery> = { ...FILTER, limit: true };
export const GROUP_OPTIONS: OptionNames<ErrorGroupQuery> = { ...FILTER, maxRead: true };

/** @throws {InvalidOptionError} if the filter has an invalid value or an unknown key, which would select everything. */
export function deadLetterSearchOf(
  filter: DeadLetterFilter,
  known: OptionNames<DeadLetterFilter> = FILTER,
): DeadLetterSearch {
  checkOptions(filter, known, { option: 'query' });
  const { queue, task, error, group, state, tag, since, until, cursor } = filter;
  if (state !== undefined && !STATES.includes(state))
    throw new InvalidOptionError(
      'state',
      `"failed" or "expired" (revoked jobs are not dead letters: list them with app.jobs.list({ state: 'revoked' }))`,
      state,
    );
  if (tag !== undefined) checkTags([tag]);
  return {
    queue: queue === undefined ? undefined : checkQueue('queue', queue),
    task: task === undefined ? undefined : checkName('task', task),
    error: error === undefined ? undefined : checkText('error', error, 200),
    group: group === undefined ? undefined : checkText('group', group, 200),
    state,
    tag,
    sinceMs: since === undefined ? Number.NEGATIVE_INFINITY : momentOf('since', since),
    untilMs: until === undefined ? undefined : momentOf('until', until),
    after: cursor === undefined ? undefined : positionOf(cursor),
  };
}

/** @throws {InvalidOptionError} unless both are within their bounds. */
export function checkListPage({ limit = 100, offset = 0 }: DeadLetterQuery): {
  limit: number;
  offset: number;
} {
  return {
    limit: checkInteger('limit', limit, 1, 1000),
    offset: checkInteger('offset', offset, 0, 100_000_000),
  };
}

function momentOf(option: string, date: Date): number {
  const ms = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw new InvalidOptionError(option, 'a valid Date', date);
  return ms;
}

function positionOf(cursor: string): DeadLetterPosition {
  try {
    const [at, queue, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
    if (Number.isFinite(at) && typeof queue === 'string' && typeof id === 'string')
      return { at: at as number, queue, id };
  } catch {
    // not a string, not JSON, or not a list
  }
  throw new InvalidOptionError('cursor', 'the `cursor` of a dead letter', cursor);
}
