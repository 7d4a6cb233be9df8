/** When a schedule has its slots: a pure function of its definition, so that every machine agrees. */
import { createHash } from 'node:crypto';
import { dayAt, dayEndAfter, type ExcludedDays, isExcluded, rangeEndOf } from './calendar.js';
import { type CronFields, readCron } from './cron.js';
import { EARLIEST_MS, LATEST_MS, nextOccurrence } from './occurrences.js';

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
