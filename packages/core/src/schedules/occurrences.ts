/**
 * This module finds the moments at which a cron expression occurs in a time zone, also where its clocks are shifted.
 *
 * An expression occurs whenever the clocks show a time that it allows, but
 * - a time that a shift skips occurs as much later as the clocks moved: 02:30 at 03:30, when 02:00 became 03:00;
 * - a time that the clocks show again, since they were set back, occurs the first time only, unless the expression
 *   allows every hour of the day: then it occurs whenever the clocks show it.
 *
 * The occurrences of an expression are thus one set of moments: the next one after a moment does not depend on where a
 * search began, and two rules that lead to the same moment have it once.
 */
import { nextClockTime } from './clock-times.js';
import type { CronFields } from './cron.js';
import { DAY_MS, type Zone, type ZoneSpan, zoneOf } from './zones.js';

/** No occurrence is looked for outside of these years. */
export const EARLIEST_MS = Date.UTC(1900, 0, 1);
export const LATEST_MS = Date.UTC(9999, 11, 31);

/** So far occurrences are looked for one after the other; what comes later is found by the calendar first. */
const REACH_MS = 2 * DAY_MS;
/** No clock differs from UTC by so much, and no shift is longer. */
const MAX_OFFSET_MS = DAY_MS;
/** An occurrence is found in the third search at the latest: in reach, near the next time that the calendar has, or just after. */
const MAX_SEARCHES = 4;
const HOURS = 24;

/** Times on the clock, from the first to the one before `to`. */
interface ClockTimes {
  readonly from: number;
  readonly to: number;
}

/** The first occurrence that is later than `after`, in milliseconds since 1970; undefined if there is none. */
export function nextOccurrence(fields: CronFields, tz: string, after: number): number | undefined {
  const zone = zoneOf(tz);
  let from = Math.max(after, EARLIEST_MS);
  for (let searches = 0; searches < MAX_SEARCHES && from < LATEST_MS; searches += 1) {
    const found = firstWithin(fields, zone, from, from + REACH_MS);
    if (found !== undefined) return found;
    // What occurs after this reach is shown on a clock that is less than a day behind it.
    const next = nextClockTime(fields, from + REACH_MS - MAX_OFFSET_MS, LATEST_MS);
    if (next === undefined) return undefined;
    from = Math.max(from + REACH_MS, next - MAX_OFFSET_MS - 1);
  }
  return undefined;
}

/** The first occurrence that is later than `after` and not later than `until`. */
function firstWithin(fields: CronFields, zone: Zone, after: number, until: number): number | undefined {
  // A time may have been shown, or skipped, up to the longest shift before.
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
    // Another shift may have led to a time that this one skips.
    if (skipped !== undefined) search(skipped.times, skipped.offset, shown);
  });
  return first;
}

/** The times that the shift between two spans skips, and the offset that gives their moments. */
function skippedBy(
  before: ZoneSpan | undefined,
  span: ZoneSpan,
): { times: ClockTimes; offset: number } | undefined {
  if (before === undefined || before.offset >= span.offset) return undefined;
  const times = { from: span.from + before.offset, to: span.from + span.offset };
  return { times, offset: before.offset };
}

/** The first allowed time of a range that is in none of the others. */
function firstExcept(
  fields: CronFields,
  { from, to }: ClockTimes,
  others: readonly ClockTimes[],
): number | undefined {
  let start = from;
  // Each round but the last leaves one of the others behind.
  for (let rounds = 0; rounds <= others.length; rounds += 1) {
    const found = nextClockTime(fields, start, to - 1);
    if (found === undefined) return undefined;
    const other = others.find((times) => times.from <= found && found < times.to);
    if (other === undefined) return found;
    start = other.to;
  }
  return undefined;
}
