/** The stored form of a schedule: its declaration and its state, with their checks. Moments are milliseconds since 1970. */

import type { ErrorRecord } from '../base/errors.js';
import {
  absentOr,
  type Check,
  isListOf,
  isMoment,
  isOneOf,
  isText,
  isWholeWithin,
} from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import { isDay, isDayOfYear, isTimeZone } from '../timing/calendar.js';
import { cronFault } from '../timing/cron.js';
import { type CatchUp, MAX_CATCH_UP, MAX_EVERY_MS, MIN_EVERY_MS, type Timing } from '../timing/timing.js';
import type { JobNode } from './job-tree.js';
import { isNode } from './tree-checks.js';

/** The declaration of a schedule, written by programs that declare, pause, resume or remove it. */
export interface ScheduleRecord {
  readonly name: string;
  readonly timing: Timing;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
  /** A hash of the whole declaration, to recognise changes. */
  readonly digest: string;
  /** Origin of the declaration. */
  readonly source: 'code';
  /** Only occurrences after this moment count. */
  readonly since: number;
  readonly paused?: number;
  /** The worker that holds the schedule's job must remove it. */
  readonly removed?: number;
  /** The job tree that is sent at each occurrence, with encoded inputs. */
  readonly target: JobNode;
}

/** The state of a schedule, written by the worker that sends its jobs. */
export interface ScheduleProgress {
  /** The last occurrence that was fired or skipped. */
  readonly last?: number;
  /** Occurrences that wait for an earlier run to end. */
  readonly waiting?: readonly number[];
  /** Runs that may not have ended. */
  readonly open?: readonly OpenRun[];
  /** The latest runs, newest first. */
  readonly runs?: readonly RunRecord[];
}

export interface OpenRun {
  readonly id: string;
  readonly queue: string;
  /** Moment at which it was sent. */
  readonly at: number;
}

/** The outcome of an occurrence. A stored `slot` is its moment. */
export interface RunRecord {
  readonly slot: number;
  readonly at: number;
  readonly outcome: 'fired' | 'skipped' | 'failed';
  /** The job or the run that was sent, if the occurrence was fired. */
  readonly id?: string;
  readonly queue?: string;
  /** It was fired by a call, and `slot` is the moment of the call. */
  readonly manual?: true;
  /** If occurrences were skipped: the reason, and the number of consecutive ones, of which this is the latest. */
  readonly reason?: 'missed' | 'overlap';
  readonly count?: number;
  /** The error, encoded as inputs are, if the target could not be sent. */
  readonly error?: ErrorRecord;
}

/** Number of runs that are kept with a schedule. */
const KEPT_RUNS = 20;

/** Returns the state with further records. A worker that lost the job may record an occurrence twice. */
export function noted(
  { runs = [], open = [], ...rest }: ScheduleProgress,
  more: {
    readonly last?: number;
    readonly waiting?: readonly number[];
    readonly opened?: readonly OpenRun[];
    readonly ended?: readonly string[];
    readonly runs: readonly RunRecord[];
  },
): ScheduleProgress {
  const last = Math.max(rest.last ?? Number.NEGATIVE_INFINITY, more.last ?? Number.NEGATIVE_INFINITY);
  const waiting = more.waiting ?? rest.waiting ?? [];
  const stillOpen = [...open, ...(more.opened ?? [])].filter(
    ({ id }, index, all) => !more.ended?.includes(id) && all.findIndex((other) => other.id === id) === index,
  );
  let kept: readonly RunRecord[] = runs;
  for (const run of more.runs) kept = withRun(kept, run);
  return {
    ...(Number.isFinite(last) && { last }),
    ...(waiting.length > 0 && { waiting }),
    ...(stillOpen.length > 0 && { open: stillOpen.slice(-KEPT_RUNS) }),
    runs: kept.slice(0, KEPT_RUNS),
  };
}

function withRun(runs: readonly RunRecord[], run: RunRecord): readonly RunRecord[] {
  const isSame = (other: RunRecord) =>
    other.slot === run.slot && other.outcome === run.outcome && other.id === run.id;
  if (runs.some(isSame)) return runs;
  const [latest, ...earlier] = runs;
  const continues =
    run.outcome === 'skipped' && latest?.outcome === 'skipped' && latest.reason === run.reason;
  if (!continues) return [run, ...runs];
  return [{ ...run, count: (latest.count ?? 1) + (run.count ?? 1) }, ...earlier];
}

const isRange: Check = (value) => isPlainObject(value) && isDay(value.from) && isDay(value.to);

const isExcept: Check = (value) =>
  isPlainObject(value) &&
  isListOf((day) => isDay(day) || isDayOfYear(day), MAX_CATCH_UP)(value.dates) &&
  isListOf(isRange, MAX_CATCH_UP)(value.ranges) &&
  isListOf(isWholeWithin(0, 6), 7)(value.weekdays);

/** A `Timing`. The name of the schedule is the seed of its `H` fields. */
const isTiming = (name: unknown, value: unknown): boolean => {
  if (!isPlainObject(value) || !isTimeZone(value.tz)) return false;
  const { cron, everyMs } = value;
  const hasRhythm =
    cron === undefined
      ? isWholeWithin(MIN_EVERY_MS, MAX_EVERY_MS)(everyMs)
      : everyMs === undefined &&
        typeof cron === 'string' &&
        cronFault({ cron, seed: String(name) }) === undefined;
  return (
    hasRhythm &&
    absentOr(isWholeWithin(0, MAX_EVERY_MS))(value.jitterMs) &&
    absentOr(isMoment)(value.startAt) &&
    absentOr(isMoment)(value.endAt) &&
    absentOr(isExcept)(value.except)
  );
};

/** A `ScheduleRecord`. */
export const isScheduleRecord: Check = (value) =>
  isPlainObject(value) &&
  isText(value.name) &&
  isTiming(value.name, value.timing) &&
  isOneOf('one', 'skip', 'all')(value.catchUp) &&
  isOneOf('skip', 'queue', 'replace', 'allow')(value.overlap) &&
  isText(value.digest) &&
  value.source === 'code' &&
  isMoment(value.since) &&
  absentOr(isMoment)(value.paused) &&
  absentOr(isMoment)(value.removed) &&
  isNode(value.target);

const isOpenRun: Check = (value) =>
  isPlainObject(value) && isText(value.id) && isText(value.queue) && isMoment(value.at);

const isRun: Check = (value) =>
  isPlainObject(value) &&
  isMoment(value.slot) &&
  isMoment(value.at) &&
  isOneOf('fired', 'skipped', 'failed')(value.outcome) &&
  absentOr(isText)(value.id) &&
  absentOr(isText)(value.queue) &&
  absentOr(isOneOf('missed', 'overlap'))(value.reason) &&
  absentOr(isWholeWithin(0, Number.MAX_SAFE_INTEGER))(value.count) &&
  absentOr(isPlainObject)(value.error);

/** A `SlotsRecord`. */
export const isScheduleProgress: Check = (value) =>
  isPlainObject(value) &&
  absentOr(isMoment)(value.last) &&
  absentOr(isListOf(isMoment, MAX_CATCH_UP))(value.waiting) &&
  absentOr(isListOf(isOpenRun, KEPT_RUNS))(value.open) &&
  absentOr(isListOf(isRun, KEPT_RUNS))(value.runs);

/**
 * Policy for an occurrence that comes before the run of an earlier one has ended: skip it, queue it, replace the running
 * one, or allow both to run.
 */
export type Overlap = 'skip' | 'queue' | 'replace' | 'allow';
