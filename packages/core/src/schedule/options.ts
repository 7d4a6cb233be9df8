/** This module checks the options and the target of a schedule, and converts them to the plain data that is stored. */

import { InvalidOptionError, isUmbelError, ScheduleError } from '../base/errors.js';
import { checkInteger, checkKnown, checkOptions, type OptionNames } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import { type Duration, durationMs } from '../base/time.js';
import { INTERNAL_QUEUE, type JobNode, jobsOf, nodesOf } from '../job/job-tree.js';
import type { Overlap } from '../job/schedule-record.js';
import { isSigned, PLAN, type Plannable, SENDER } from '../task/signature.js';
import { type ExcludedDays, isDay, isDayOfYear, isTimeZone } from '../timing/calendar.js';
import { cronFault, NEVER_OCCURS, stepFault } from '../timing/cron.js';
import {
  type CatchUp,
  MAX_EVERY_MS,
  MAX_EXCLUDED_YEARS,
  MIN_EVERY_MS,
  nextOccurrence,
  nextOccurrences,
  type Timing,
} from '../timing/timing.js';
import { fill } from '../workflow/input.js';

/**
 * When a schedule fires, and what happens to occurrences that cannot fire in time.
 *
 * @example
 * const options: ScheduleOptions = { cron: '0 3 * * *', tz: 'Europe/Zurich', overlap: 'queue' };
 */
export type ScheduleOptions = ScheduleRules &
  (
    | {
        /**
         * Five fields (minute, hour, day of month, month, day of week), six with seconds first, or a name such as
         * `@daily`. When clocks are set forward, a skipped time fires later by the same amount (02:30 fires at 03:30).
         * When they are set back, a repeated time fires once, the first time, unless the expression allows every hour.
         * Expressions that never occur, such as `0 0 31 4,6 *`, and steps longer than their field are refused.
         */
        cron: string;
        every?: undefined;
      }
    | {
        /** From 1 s to 10 years, counted from `start` or from 1970, so that all machines compute the same occurrences. */
        every: Duration;
        cron?: undefined;
      }
  );

/** Options of a schedule besides `cron` and `every`. */
export interface ScheduleRules {
  /** The time zone of `cron` and `except`, such as `'Europe/Zurich'`. Default `'UTC'`. */
  tz?: string | undefined;
  /**
   * Maximum delay of each occurrence, at most the time between two occurrences. The delay is computed from the name of
   * the schedule and the occurrence, so it is the same on all machines. Default: none.
   */
  jitter?: Duration | undefined;
  /** Earliest occurrence. Default: when the schedule is first stored. */
  start?: Date | undefined;
  /** Latest occurrence. The schedule stays listed afterwards. Default: it does not end. */
  end?: Date | undefined;
  /** Days without occurrences. At least one occurrence must remain. */
  except?: ScheduleExceptions | undefined;
  /**
   * How to handle occurrences that were missed because no worker ran for more than a minute. `'one'` (the default) fires
   * the latest of them, unless a later occurrence is due too. `'skip'` fires none. `'all'` fires each, at most the latest
   * 1,000. Occurrences in a pause never fire.
   */
  catchUp?: CatchUp | undefined;
  /**
   * How to handle an occurrence while an earlier run of the schedule has not ended. `'skip'` (the default) skips it.
   * `'queue'` starts it after that run; at most 1,000 occurrences wait, and the run is checked at intervals of a tenth of
   * its age, from 1 s to 1 min. `'replace'` revokes that run and starts. `'allow'` starts alongside it. With
   * `catchUp: 'all'` only `'queue'` (the default then) and `'allow'` are accepted.
   */
  overlap?: Overlap | undefined;
}

/** A day of the week. */
export type Weekday = (typeof WEEKDAYS)[number];

/** Days without occurrences, in the time zone of the schedule. */
export interface ScheduleExceptions {
  /** Dates such as `'2026-12-25'`, or `'12-25'` for every year. */
  dates?: readonly string[] | undefined;
  /** Ranges such as `{ from: '2026-07-13', to: '2026-08-16' }`, both days included. */
  ranges?: readonly { from: string; to: string }[] | undefined;
  weekdays?: readonly Weekday[] | undefined;
}

const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;
const CATCH_UPS: readonly CatchUp[] = ['one', 'skip', 'all'];
const OVERLAPS: readonly Overlap[] = ['skip', 'queue', 'replace', 'allow'];
const OPTIONS: OptionNames<ScheduleOptions> = {
  cron: true,
  every: true,
  tz: true,
  jitter: true,
  start: true,
  end: true,
  except: true,
  catchUp: true,
  overlap: true,
};
const EXCEPT: OptionNames<ScheduleExceptions> = { dates: true, ranges: true, weekdays: true };
const RANGE: OptionNames<{ from: string; to: string }> = { from: true, to: true };

/** Maximum number of dates, of ranges and of weekdays of one schedule. */
const MAX_EXCEPTIONS = 1000;
/** Number of occurrences that are compared to find the shortest time between two. */
const COMPARED_OCCURRENCES = 10;
/** Start of that comparison if there is no `start`: fixed, so that the result does not depend on the current time. */
const COMPARED_FROM = Date.UTC(2026, 0, 1);

/** Options as plain data, in the form that is stored. */
export interface ScheduleTimes {
  readonly timing: Timing;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
}

/** @throws {InvalidOptionError} at the first option with a value it cannot have. */
export function normalizeSchedule(name: string, options: ScheduleOptions): ScheduleTimes {
  checkOptions(options, OPTIONS);
  const { tz = 'UTC', catchUp = 'one' } = options;
  if (!isTimeZone(tz)) throw new InvalidOptionError('tz', "a time zone such as 'Europe/Zurich'", tz);
  const { overlap = catchUp === 'all' ? 'queue' : 'skip' } = options;
  checkOneOf('catchUp', catchUp, CATCH_UPS);
  checkOneOf('overlap', overlap, OVERLAPS);
  if (catchUp === 'all' && overlap !== 'queue' && overlap !== 'allow') {
    throw new InvalidOptionError('overlap', "'queue' or 'allow' when `catchUp` is 'all'", overlap);
  }
  const startAt = momentOf('start', options.start);
  const endAt = momentOf('end', options.end);
  if (startAt !== undefined && endAt !== undefined && endAt < startAt)
    throw new InvalidOptionError('end', 'no earlier than `start`', options.end?.toISOString());
  const except = exceptionsOf(options.except);
  const timing: Timing = {
    ...rhythmOf(name, options),
    tz,
    ...(startAt !== undefined && { startAt }),
    ...(endAt !== undefined && { endAt }),
    ...(except !== undefined && { except }),
  };
  checkOccurs(name, timing);
  const jitterMs = options.jitter === undefined ? 0 : durationMs(options.jitter, 'jitter');
  if (jitterMs > shortestGap(name, timing))
    throw new InvalidOptionError('jitter', 'at most the time between two occurrences', options.jitter);
  return { timing: jitterMs === 0 ? timing : { ...timing, jitterMs }, catchUp, overlap };
}

function rhythmOf(name: string, { cron, every }: ScheduleOptions): { cron: string } | { everyMs: number } {
  if (cron === undefined) {
    if (every === undefined) throw new InvalidOptionError('cron', 'given, or `every`', cron);
    const ms = durationMs(every, 'every');
    if (ms < MIN_EVERY_MS || ms > MAX_EVERY_MS)
      throw new InvalidOptionError('every', 'a time from 1 s to 10 years', every);
    return { everyMs: ms };
  }
  if (every !== undefined) throw new InvalidOptionError('every', 'absent when `cron` is given', every);
  const fault = typeof cron === 'string' ? (cronFault({ cron, seed: name }) ?? stepFault(cron)) : 'text';
  if (fault !== undefined) throw new InvalidOptionError('cron', `a cron expression (${fault})`, cron);
  return { cron: cron.trim() };
}

/** @throws {InvalidOptionError} if the schedule would never fire. The result does not depend on the current time. */
function checkOccurs(name: string, timing: Timing): void {
  const { except, ...unrestricted } = timing;
  const { startAt: _start, endAt: _end, ...rhythm } = unrestricted;
  const from = (timing.startAt ?? COMPARED_FROM) - 1;
  if ('cron' in timing && nextOccurrence({ name, timing: rhythm }, from) === undefined) {
    throw new InvalidOptionError('cron', `a cron expression (${NEVER_OCCURS})`, timing.cron);
  }
  if (except === undefined || nextOccurrence({ name, timing }, from) !== undefined) return;
  // A schedule that has ended may stay declared.
  if (nextOccurrence({ name, timing: unrestricted }, from) === undefined) return;
  const within = timing.endAt === undefined ? ` for ${MAX_EXCLUDED_YEARS} years` : '';
  const { dates, ranges, weekdays } = except;
  const days = [
    ...dates,
    ...ranges.map(({ from: first, to }) => `${first} to ${to}`),
    ...weekdays.map((day) => WEEKDAYS[day]),
  ];
  const expected = `fewer days (these leave the schedule no occurrence${within})`;
  throw new InvalidOptionError('except', expected, days.join(', '));
}

function shortestGap(name: string, timing: Timing): number {
  const { endAt: _end, except: _except, ...rhythm } = timing;
  const occurrences = nextOccurrences(
    { name, timing: rhythm },
    timing.startAt ?? COMPARED_FROM,
    COMPARED_OCCURRENCES,
  );
  return Math.min(
    ...occurrences.slice(1).map((occurrence, index) => occurrence - (occurrences[index] ?? occurrence)),
  );
}

function exceptionsOf(except: ScheduleExceptions | undefined): ExcludedDays | undefined {
  if (except === undefined) return undefined;
  const {
    dates = [],
    ranges = [],
    weekdays = [],
  } = checkOptions(except, EXCEPT, {
    option: 'except',
    above: 'except.',
  });
  for (const [field, list] of Object.entries({ dates, ranges, weekdays })) {
    if (!Array.isArray(list)) throw new InvalidOptionError(`except.${field}`, 'a list', list);
    checkInteger(`except.${field}.length`, list.length, 0, MAX_EXCEPTIONS);
  }
  for (const date of dates) {
    if (!isDay(date) && !isDayOfYear(date))
      throw new InvalidOptionError('except.dates', "days such as '2026-12-25' or '12-25'", date);
  }
  for (const range of ranges) {
    if (isPlainObject(range)) checkKnown(range, RANGE, 'except.ranges.');
    const { from, to } = isPlainObject(range) ? range : {};
    if (!isDay(from) || !isDay(to) || to < from) {
      throw new InvalidOptionError(
        'except.ranges',
        "{ from, to } with days such as '2026-07-13', `from` not after `to`",
        isPlainObject(range) ? `${String(from)} to ${String(to)}` : range,
      );
    }
  }
  for (const weekday of weekdays) checkOneOf('except.weekdays', weekday, WEEKDAYS);
  const numbers = [...new Set(weekdays.map((weekday) => WEEKDAYS.indexOf(weekday)))].sort();
  if (numbers.length === WEEKDAYS.length)
    throw new InvalidOptionError('except.weekdays', 'not all of them', weekdays);
  return {
    dates: [...new Set(dates)].sort(),
    ranges: ranges.map(({ from, to }) => ({ from, to })),
    weekdays: numbers,
  };
}

function checkOneOf(option: string, value: unknown, known: readonly string[]): void {
  if (!known.includes(value as string))
    throw new InvalidOptionError(option, `one of ${known.map((each) => `'${each}'`).join(', ')}`, value);
}

function momentOf(option: string, date: Date | undefined): number | undefined {
  if (date === undefined) return undefined;
  if (!(date instanceof Date) || Number.isNaN(date.getTime()))
    throw new InvalidOptionError(option, 'a valid Date', date);
  return date.getTime();
}

// The target of a schedule as plain data, which is stored with it and sent at each occurrence.

/** Maximum size of a target, which is read at each occurrence. */
const MAX_BYTES = 1_048_576;
/** Maximum number of task names in a description. */
const NAMED_TASKS = 10;

/**
 * Returns the jobs of a target. Later changes of its input have no effect.
 * @throws {ScheduleError} if it is not a step, belongs to another app, or has lazy members.
 */
export function plannedTarget(name: string, target: unknown, app: object): JobNode {
  if (!isSigned(target) || !(PLAN in target))
    throw new ScheduleError(name, 'cannot be declared: its target is not a task, signature or workflow.');
  if (target[SENDER] !== undefined && target[SENDER] !== app)
    throw new ScheduleError(name, 'cannot be declared: its target belongs to another app.');
  let node: JobNode;
  try {
    node = fill((target as unknown as Plannable)[PLAN](), undefined);
  } catch (cause) {
    if (!isUmbelError(cause)) throw cause;
    throw new ScheduleError(name, `cannot be declared: its target cannot be stored. ${cause.message}`, {
      cause,
    });
  }
  return node;
}

/** Returns a JSON copy of the jobs. @throws {ScheduleError} if they are too large to be stored with a schedule. */
export function storableTarget(name: string, node: JobNode): JobNode {
  const text = JSON.stringify(node);
  if (text.length > MAX_BYTES) {
    throw new ScheduleError(
      name,
      `cannot be declared: its target takes ${text.length} bytes as JSON, the limit is ${MAX_BYTES}. ` +
        'Schedule one task that finds the work and sends it, or replaces itself with ctx.replace.',
    );
  }
  return JSON.parse(text) as JobNode;
}

/** Returns the names of the tasks of a target, in order. */
export function describeTarget(node: JobNode): string {
  const names = [...new Set(tasksIn(node))];
  const more = names.length > NAMED_TASKS ? ` and ${names.length - NAMED_TASKS} more` : '';
  const list = names.slice(0, NAMED_TASKS).join(', ') + more;
  return node.queue === INTERNAL_QUEUE ? `workflow of ${list || 'no tasks'}` : list;
}

function* tasksIn(root: JobNode): Generator<string> {
  for (const { queue, name, expand } of jobsOf(root)) {
    if (queue !== INTERNAL_QUEUE) yield name;
    if (expand !== undefined) for (const next of nodesOf(expand)) yield* tasksIn(next);
  }
}
