/**
 * Computes the occurrences of schedules: of cron expressions and intervals, with jitter, excluded days and catch-up. All
 * functions are pure, so every machine gets the same moments. An occurrence is a moment in milliseconds
 * since 1970.
 */
import { createHash } from 'node:crypto';
import {
  DAY_MS,
  dayAt,
  dayEndAfter,
  type ExcludedDays,
  isExcluded,
  nextClockTime,
  rangeEndOf,
  type Zone,
  type ZoneSpan,
  zoneOf,
} from './calendar.js';
import { type CronFields, readCron } from './cron.js';

// Cron expressions in a time zone. An expression occurs whenever the clocks show an allowed time, with two exceptions:
// - A time that a shift skips occurs later, by the length of the shift: 02:30 occurs at 03:30 when 02:00 becomes 03:00.
// - A time that the clocks show twice, because they are set back, occurs only the first time. An expression that allows every
//   hour of the day occurs both times.
// So the occurrences are one set of moments: the next one does not depend on the start of a search, and a moment that two of
// these rules lead to counts once.

/** Occurrences are searched between these years only. */
const EARLIEST_MS = Date.UTC(1900, 0, 1);
const LATEST_MS = Date.UTC(9999, 11, 31);

/** Length of the period that is searched in detail. Beyond it, the next day is found by the calendar first. */
const REACH_MS = 2 * DAY_MS;
/** No offset from UTC and no shift is longer. */
const MAX_OFFSET_MS = DAY_MS;
/** The third search succeeds at the latest: within the reach, near the calendar's next time, or shortly after it. */
const MAX_SEARCHES = 4;
const HOURS = 24;

/** A range of clock times, without `to`. */
interface ClockTimes {
  readonly from: number;
  readonly to: number;
}

/** Returns the first occurrence later than `after`, in milliseconds since 1970; undefined if there is none. */
export function nextCronOccurrence(fields: CronFields, tz: string, after: number): number | undefined {
  const zone = zoneOf(tz);
  let from = Math.max(after, EARLIEST_MS);
  for (let searches = 0; searches < MAX_SEARCHES && from < LATEST_MS; searches += 1) {
    const found = firstWithin(fields, zone, from, from + REACH_MS);
    if (found !== undefined) return found;
    // The clock time of a later occurrence is less than a day before the end of the reach.
    const next = nextClockTime(fields, from + REACH_MS - MAX_OFFSET_MS, LATEST_MS);
    if (next === undefined) return undefined;
    from = Math.max(from + REACH_MS, next - MAX_OFFSET_MS - 1);
  }
  return undefined;
}

/** Returns the first occurrence later than `after` and not later than `until`. */
function firstWithin(fields: CronFields, zone: Zone, after: number, until: number): number | undefined {
  // A time may have been shown or skipped earlier, by at most the longest shift.
  const spans = zone.spans(after - 2 * MAX_OFFSET_MS, until + MAX_OFFSET_MS);
  const shown = spans.map(({ from, to, offset }) => ({ from: from + offset, to: to + offset }));
  const isHourly = fields.hours.length === HOURS;
  let first: number | undefined;
  const search = (times: ClockTimes, offset: number, except: readonly ClockTimes[]) => {
    const range = {
      from: Math.max(times.from, after + 1 + offset),
      to: Math.min(times.to, (first ?? until + 1) + offset),
    };
    const found = firstExcept(fields, range, except);
    if (found !== undefined) first = found - offset;
  };
  spans.forEach((span, index) => {
    const times = shown[index];
    if (times !== undefined) search(times, span.offset, isHourly ? [] : shown.slice(0, index));
    const skipped = skippedBy(spans[index - 1], span);
    // The clocks may show a skipped time because of another shift.
    if (skipped !== undefined) search(skipped.times, skipped.offset, shown);
  });
  return first;
}

/** Returns the clock times that the shift between two spans skips, and the offset by which they occur. */
function skippedBy(
  before: ZoneSpan | undefined,
  span: ZoneSpan,
): { times: ClockTimes; offset: number } | undefined {
  if (before === undefined || before.offset >= span.offset) return undefined;
  const times = { from: span.from + before.offset, to: span.from + span.offset };
  return { times, offset: before.offset };
}

/** Returns the first allowed time of a range that is in none of the others. */
function firstExcept(
  fields: CronFields,
  { from, to }: ClockTimes,
  others: readonly ClockTimes[],
): number | undefined {
  let start = from;
  // Each round except the last passes one of the other ranges.
  for (let rounds = 0; rounds <= others.length; rounds += 1) {
    const found = nextClockTime(fields, start, to - 1);
    if (found === undefined) return undefined;
    const other = others.find((times) => times.from <= found && found < times.to);
    if (other === undefined) return found;
    start = other.to;
  }
  return undefined;
}

// Schedules.

/** The timing of a schedule in its checked and stored form. Moments are milliseconds since 1970. */
export type Timing = {
  readonly tz: string;
  readonly jitterMs?: number;
  /** No occurrence before this moment. */
  readonly startAt?: number;
  /** No occurrence after this moment. */
  readonly endAt?: number;
  readonly except?: ExcludedDays;
} & ({ readonly cron: string } | { readonly everyMs: number });

/** The timing of a schedule with its name, which determines its jitter and the `H` fields of its cron expression. */
export interface NamedTiming {
  readonly name: string;
  readonly timing: Timing;
}

export const MIN_EVERY_MS = 1000;
export const MAX_EVERY_MS = 3650 * 86_400_000;

/**
 * The search ends if all occurrences of this many years are excluded. 29 February falls on the same weekday every 28 years,
 * or 40 years if a leap year is skipped.
 */
export const MAX_EXCLUDED_YEARS = 41;
const MAX_EXCLUDED_MS = MAX_EXCLUDED_YEARS * 366 * 86_400_000;

/** Returns the first occurrence later than `after`; undefined if there is none. */
export function nextOccurrence(named: NamedTiming, after: number): number | undefined {
  const { tz, startAt, endAt = LATEST_MS, except } = named.timing;
  const first = Math.max(after, (startAt ?? EARLIEST_MS) - 1, EARLIEST_MS);
  const last = Math.min(endAt, LATEST_MS);
  for (let from = first; from < first + MAX_EXCLUDED_MS; ) {
    const occurrence = nextOf(named, from);
    if (occurrence === undefined || occurrence > last) return undefined;
    if (except === undefined) return occurrence;
    const day = dayAt(tz, occurrence);
    if (!isExcluded(except, day)) return occurrence;
    // Offsets are less than a day, so the last day of the range has not ended at its midnight in UTC.
    const rangeEnd = Date.parse(rangeEndOf(except, day) ?? '');
    from = Math.max(dayEndAfter(tz, occurrence) - 1, Number.isNaN(rangeEnd) ? first : rangeEnd);
  }
  return undefined;
}

function nextOf({ name, timing }: NamedTiming, after: number): number | undefined {
  if ('cron' in timing) {
    const fields = fieldsOf(timing.cron, name);
    return fields && nextCronOccurrence(fields, timing.tz, after);
  }
  const { everyMs, startAt: anchor = 0 } = timing;
  return anchor + (Math.floor((after - anchor) / everyMs) + 1) * everyMs;
}

/** Returns undefined for an invalid expression. Expressions are checked when they are declared, and when they are loaded. */
function fieldsOf(cron: string, seed: string): CronFields | undefined {
  try {
    return readCron({ cron, seed });
  } catch {
    return undefined;
  }
}

/** Returns the first `count` occurrences later than `after`. */
export function nextOccurrences(named: NamedTiming, after: number, count: number): number[] {
  return occurrencesBetween(named, after, Number.POSITIVE_INFINITY, count);
}

/** Returns the moment at which an occurrence is fired: after the jitter, which the name and the occurrence determine. */
export function dueAt({ name, timing: { jitterMs = 0 } }: NamedTiming, occurrence: number): number {
  if (jitterMs === 0) return occurrence;
  const hash = createHash('sha256').update(`${name}/${occurrence}`).digest();
  return occurrence + Math.floor((hash.readUInt32BE(0) / 2 ** 32) * (jitterMs + 1));
}

/** Length of the first window of a backward search. Each further window is twice as long. */
const FIRST_WINDOW_MS = 60_000;

/** Returns the latest `limit` occurrences later than `after` and not later than `until`, in order. */
export function latestOccurrences(named: NamedTiming, after: number, until: number, limit: number): number[] {
  let occurrences: number[] = [];
  let to = until;
  for (let windowMs = FIRST_WINDOW_MS; to > after && occurrences.length < limit; windowMs *= 2) {
    const from = Math.max(after, to - windowMs);
    occurrences = [...occurrencesWithin(named, from, to, limit - occurrences.length), ...occurrences];
    to = from;
  }
  return occurrences;
}

/** Returns the latest `limit` occurrences of a window, without computing all of them if there are many more. */
function occurrencesWithin(named: NamedTiming, after: number, until: number, limit: number): number[] {
  const occurrences = occurrencesBetween(named, after, until, limit + 1);
  if (occurrences.length <= limit) return occurrences;
  // The recursion ends, because occurrences are at least a second apart.
  const middle = Math.floor((after + until) / 2);
  const late = occurrencesWithin(named, middle, until, limit);
  const missing = limit - late.length;
  return missing === 0 ? late : [...occurrencesWithin(named, after, middle, missing), ...late];
}

/** Returns the first `count` occurrences later than `after` and not later than `until`. */
function occurrencesBetween(named: NamedTiming, after: number, until: number, count: number): number[] {
  const occurrences: number[] = [];
  for (let from = after; occurrences.length < count; ) {
    const occurrence = nextOccurrence(named, from);
    if (occurrence === undefined || occurrence > until) break;
    occurrences.push(occurrence);
    from = occurrence;
  }
  return occurrences;
}

// Due and missed occurrences.

/** Policy for missed occurrences: fire only the latest, none, or all. */
export type CatchUp = 'one' | 'skip' | 'all';

/**
 * An occurrence that could not be fired within this time was missed, because no worker ran. It is longer than the default
 * time after which another worker takes over from one that died, so those occurrences are late, not missed.
 */
export const MISSED_AFTER_MS = 60_000;
/** Maximum number of missed occurrences that are fired. */
export const MAX_CATCH_UP = 1000;
/** Maximum number of skipped occurrences that are counted, because there may be millions. */
const MAX_COUNTED = 100;
/** Maximum number of late occurrences, at one per second. */
const MAX_LATE = (2 * MISSED_AFTER_MS) / 1000;

export interface DueOccurrences {
  /** Occurrences to fire, in order. */
  readonly fire: readonly number[];
  /** Missed occurrences that are not fired: their number, at most `MAX_COUNTED`, and the latest. */
  readonly missed?: { readonly count: number; readonly latest: number };
  /** The latest due occurrence. */
  readonly last?: number;
}

/**
 * Returns the due occurrences after `last`. Of missed ones, `one` fires the latest, unless a later occurrence is fired anyway;
 * `all` fires at most the latest 1,000.
 */
export function dueOccurrences(
  named: NamedTiming,
  last: number,
  now: number,
  catchUp: CatchUp,
): DueOccurrences {
  const due: number[] = [];
  const limit = MAX_LATE + MAX_COUNTED + (catchUp === 'all' ? MAX_CATCH_UP : 1);
  for (const occurrence of latestOccurrences(named, last, now, limit)) {
    if (dueAt(named, occurrence) > now) break; // occurrences are fired in order, so the later ones wait
    due.push(occurrence);
  }
  const isMissed = (occurrence: number) => now - dueAt(named, occurrence) > MISSED_AFTER_MS;
  const onTime = due.filter((occurrence) => !isMissed(occurrence));
  const missed = due.filter(isMissed);
  const caughtUp = missed.slice(missed.length - catchUpCount(catchUp, missed.length, onTime.length > 0));
  const skipped = missed.slice(0, missed.length - caughtUp.length).slice(-MAX_COUNTED);
  const latest = skipped.at(-1);
  const latestDue = due.at(-1);
  return {
    fire: [...caughtUp, ...onTime],
    ...(latest !== undefined && { missed: { count: skipped.length, latest } }),
    ...(latestDue !== undefined && { last: latestDue }),
  };
}

function catchUpCount(catchUp: CatchUp, missed: number, hasLater: boolean): number {
  if (catchUp === 'skip' || (catchUp === 'one' && hasLater)) return 0;
  return catchUp === 'one' ? Math.min(missed, 1) : Math.min(missed, MAX_CATCH_UP);
}
