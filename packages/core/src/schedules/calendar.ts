/** Days as a time zone has them, and which of them are left out. Pure. */
import { DAY_MS, zoneOf } from './zones.js';

/** Days on which nothing is fired, checked and in the form in which they are stored. */
export interface ExcludedDays {
  /** `YYYY-MM-DD`, or `MM-DD` for the same day of each year. */
  readonly dates: readonly string[];
  /** From the first day to the last, both included. */
  readonly ranges: readonly { readonly from: string; readonly to: string }[];
  /** 0 is Sunday. */
  readonly weekdays: readonly number[];
}

/** No day is longer, not even one that a zone has had twice. */
const LONGEST_DAY_MS = 3 * DAY_MS;

/** The day in a time zone, as `YYYY-MM-DD`. */
export function dayAt(tz: string, at: number): string {
  return dayOf(at + zoneOf(tz).offsetAt(at));
}

/** The day of a time on the clock, given as if it were UTC. */
function dayOf(clockTime: number): string {
  return new Date(clockTime).toISOString().slice(0, 10);
}

/** The first moment after `at` that is on another day of the time zone: of the next one, unless clocks go back to the one before. */
export function dayEndAfter(tz: string, at: number): number {
  const day = dayAt(tz, at);
  const latest = at + LONGEST_DAY_MS;
  for (const { from, to, offset } of zoneOf(tz).spans(at, latest)) {
    if (dayOf(from + offset) !== day) return from;
    const midnight = from + DAY_MS - modulo(from + offset, DAY_MS);
    if (midnight < to) return midnight;
  }
  return latest;
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}

/** The last day of the longest range that the day is in, unless it is the first of the range. */
export function rangeEndOf({ ranges }: ExcludedDays, day: string): string | undefined {
  const ends = ranges.filter(({ from, to }) => from < day && day <= to).map(({ to }) => to);
  return ends.sort().at(-1);
}

/** Whether a day (`YYYY-MM-DD`) is left out. */
export function isExcluded({ dates, ranges, weekdays }: ExcludedDays, day: string): boolean {
  if (dates.includes(day) || dates.includes(day.slice(5))) return true;
  if (ranges.some(({ from, to }) => from <= day && day <= to)) return true;
  return weekdays.includes(new Date(`${day}T00:00:00Z`).getUTCDay());
}

/** Whether the text is a day that exists, as `YYYY-MM-DD`. */
export function isDay(text: unknown): text is string {
  if (typeof text !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const at = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text);
}

/** Whether the text is a day of some year, as `MM-DD`. */
export function isDayOfYear(text: unknown): text is string {
  return typeof text === 'string' && isDay(`2000-${text}`); // a leap year
}
