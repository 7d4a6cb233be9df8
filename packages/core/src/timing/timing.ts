/** When a schedule has its slots: a pure function of its definition, so that every machine agrees. */

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

// This module finds the moments at which a cron expression occurs in a time zone, also where its clocks are shifted.
// An expression occurs whenever the clocks show a time that it allows, but
// - a time that a shift skips occurs as much later as the clocks moved: 02:30 at 03:30, when 02:00 became 03:00;
// - a time that the clocks show again, since they were set back, occurs the first time only, unless the expression
// allows every hour of the day: then it occurs whenever the clocks show it.
// The occurrences of an expression are thus one set of moments: the next one after a moment does not depend on where a
// search began, and two rules that lead to the same moment have it once.

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

/** The timing of a schedule, checked and in the form in which it is stored; moments in milliseconds since 1970. */
export type Timing = {
  readonly tz: string;
  readonly jitterMs?: number;
  /** No slot before. */
  readonly startAt?: number;
  /** No slot after. */
  readonly endAt?: number;
  readonly except?: ExcludedDays;
} & ({ readonly cron: string } | { readonly everyMs: number });

/** The timing of the schedule of this name, which its jitter and an `H` in its cron expression follow from. */
export interface NamedTiming {
  readonly name: string;
  readonly timing: Timing;
}

export const MIN_EVERY_MS = 1000;
export const MAX_EVERY_MS = 3650 * 86_400_000;

/**
 * If all slots of so many years are left out, none is looked for after that. 29 February is on the same weekday every
 * 28 years, or 40 where a leap year is left out.
 */
export const MAX_EXCLUDED_YEARS = 41;
const MAX_EXCLUDED_MS = MAX_EXCLUDED_YEARS * 366 * 86_400_000;

/** The first slot that is later than `after`, in milliseconds since 1970; undefined if there is none. */
export function nextSlot(named: NamedTiming, after: number): number | undefined {
  const { tz, startAt, endAt = LATEST_MS, except } = named.timing;
  const first = Math.max(after, (startAt ?? EARLIEST_MS) - 1, EARLIEST_MS);
  const last = Math.min(endAt, LATEST_MS);
  for (let from = first; from < first + MAX_EXCLUDED_MS; ) {
    const slot = nextOf(named, from);
    if (slot === undefined || slot > last) return undefined;
    if (except === undefined) return slot;
    const day = dayAt(tz, slot);
    if (!isExcluded(except, day)) return slot;
    // Clocks are less than a day from UTC, so that the last day of the range has not ended by then.
    const rangeEnd = Date.parse(rangeEndOf(except, day) ?? '');
    from = Math.max(dayEndAfter(tz, slot) - 1, Number.isNaN(rangeEnd) ? first : rangeEnd);
  }
  return undefined;
}

function nextOf({ name, timing }: NamedTiming, after: number): number | undefined {
  if ('cron' in timing) {
    const fields = fieldsOf(timing.cron, name);
    return fields && nextOccurrence(fields, timing.tz, after);
  }
  const { everyMs, startAt: anchor = 0 } = timing;
  return anchor + (Math.floor((after - anchor) / everyMs) + 1) * everyMs;
}

/** Undefined for an expression that cannot be read; it was checked when it was declared, and when it was loaded. */
function fieldsOf(cron: string, seed: string): CronFields | undefined {
  try {
    return readCron({ cron, seed });
  } catch {
    return undefined;
  }
}

/** The first `count` slots that are later than `after`. */
export function nextSlots(named: NamedTiming, after: number, count: number): number[] {
  return slotsBetween(named, after, Number.POSITIVE_INFINITY, count);
}

/** When a slot is fired at the earliest: the jitter, which its name and the slot decide, after it. */
export function dueAt({ name, timing: { jitterMs = 0 } }: NamedTiming, slot: number): number {
  if (jitterMs === 0) return slot;
  const hash = createHash('sha256').update(`${name}/${slot}`).digest();
  return slot + Math.floor((hash.readUInt32BE(0) / 2 ** 32) * (jitterMs + 1));
}

/** The windows in which the latest slots are looked for, backwards: each is twice as long as the one before. */
const FIRST_WINDOW_MS = 60_000;

/** The latest `limit` slots that are later than `after` and not later than `until`, in order. */
export function latestSlots(named: NamedTiming, after: number, until: number, limit: number): number[] {
  let slots: number[] = [];
  let to = until;
  for (let windowMs = FIRST_WINDOW_MS; to > after && slots.length < limit; windowMs *= 2) {
    const from = Math.max(after, to - windowMs);
    slots = [...slotsWithin(named, from, to, limit - slots.length), ...slots];
    to = from;
  }
  return slots;
}

/** The latest `limit` slots within, found without walking through all of them if there are many more. */
function slotsWithin(named: NamedTiming, after: number, until: number, limit: number): number[] {
  const slots = slotsBetween(named, after, until, limit + 1);
  if (slots.length <= limit) return slots;
  // Slots are at least a second apart, so that this ends long before halves are that short.
  const middle = Math.floor((after + until) / 2);
  const late = slotsWithin(named, middle, until, limit);
  const missing = limit - late.length;
  return missing === 0 ? late : [...slotsWithin(named, after, middle, missing), ...late];
}

/** The first `count` slots that are later than `after` and not later than `until`. */
function slotsBetween(named: NamedTiming, after: number, until: number, count: number): number[] {
  const slots: number[] = [];
  for (let from = after; slots.length < count; ) {
    const slot = nextSlot(named, from);
    if (slot === undefined || slot > until) break;
    slots.push(slot);
    from = slot;
  }
  return slots;
}

// Which slots are due, and what becomes of those that were missed. Pure.

/** What becomes of slots that were missed: the latest is fired, none, or each. */
export type CatchUp = 'one' | 'skip' | 'all';

/**
 * A slot that is fired later than this was missed: no worker ran. Longer than it takes by default until the work of a
 * worker that died is taken over, so that its slots are late, and not missed.
 */
export const MISSED_AFTER_MS = 60_000;
/** Of the slots that were missed, at most so many are fired. */
export const MAX_CATCH_UP = 1000;
/** Of those that are not fired, at most so many are counted: there may be millions. */
const MAX_COUNTED = 100;
/** As many slots as can be late, one a second, beside the missed ones. */
const MAX_LATE = (2 * MISSED_AFTER_MS) / 1000;

export interface DueSlots {
  /** To be fired, in order. */
  readonly fire: readonly number[];
  /** The missed ones that are not: how many (at most `MAX_COUNTED` are counted), and the latest. */
  readonly missed?: { readonly count: number; readonly latest: number };
  /** The latest of all these slots. */
  readonly last?: number;
}

/**
 * The slots after `last` that are due.
 *
 * Of missed ones, `one` fires the latest, unless a later slot is fired anyway; `all` at most the latest 1,000.
 */
export function dueSlots(named: NamedTiming, last: number, now: number, catchUp: CatchUp): DueSlots {
  const due: number[] = [];
  const limit = MAX_LATE + MAX_COUNTED + (catchUp === 'all' ? MAX_CATCH_UP : 1);
  for (const slot of latestSlots(named, last, now, limit)) {
    if (dueAt(named, slot) > now) break; // in order: the next ones wait for it
    due.push(slot);
  }
  const isMissed = (slot: number) => now - dueAt(named, slot) > MISSED_AFTER_MS;
  const onTime = due.filter((slot) => !isMissed(slot));
  const missed = due.filter(isMissed);
  const caughtUp = missed.slice(missed.length - numberOf(catchUp, missed.length, onTime.length > 0));
  const skipped = missed.slice(0, missed.length - caughtUp.length).slice(-MAX_COUNTED);
  const latest = skipped.at(-1);
  const latestDue = due.at(-1);
  return {
    fire: [...caughtUp, ...onTime],
    ...(latest !== undefined && { missed: { count: skipped.length, latest } }),
    ...(latestDue !== undefined && { last: latestDue }),
  };
}

function numberOf(catchUp: CatchUp, missed: number, hasLater: boolean): number {
  if (catchUp === 'skip' || (catchUp === 'one' && hasLater)) return 0;
  return catchUp === 'one' ? Math.min(missed, 1) : Math.min(missed, MAX_CATCH_UP);
}
