/**
 * Calendar arithmetic for schedules: offsets of time zones, excluded days, and the times that a cron expression allows. Pure,
 * except that it reads the machine's time zone data.
 */
import type { CronFields } from './cron.js';

// Time zones. Offsets are cached, because reading one takes about a microsecond.

/** A period in which the offset of a zone does not change. Moments are milliseconds since 1970. */
export interface ZoneSpan {
  readonly from: number;
  /** The exclusive end: the next shift of the clocks, or the end of the requested period. */
  readonly to: number;
  /** Milliseconds by which clocks are ahead of UTC: clock time = moment + offset. */
  readonly offset: number;
}

interface Shift {
  readonly at: number;
  /** The offset from this shift on. */
  readonly offset: number;
}

const SECOND_MS = 1000;
export const DAY_MS = 86_400_000;
/** Length of the period whose shifts are determined and cached together. */
const WINDOW_MS = 32 * DAY_MS;
/** Two opposite shifts within this time would be missed. Since 1900, no zone had two shifts within three days. */
const PROBE_MS = DAY_MS;
/** There are about 600 names of zones, and stored data may contain them in upper and lower case. */
const MAX_ZONES = 1000;
/** Cached windows of one zone: more than a hundred years. */
const MAX_WINDOWS = 1200;

const zones = new Map<string, Zone>();

/** Returns the zone with this name. @throws {RangeError} if the machine does not know it. */
export function zoneOf(tz: string): Zone {
  let zone = zones.get(tz);
  if (zone === undefined) {
    zone = new Zone(tz);
    if (zones.size >= MAX_ZONES) zones.clear();
    zones.set(tz, zone);
  }
  return zone;
}

/** Returns whether this machine knows the time zone. */
export function isTimeZone(tz: unknown): tz is string {
  if (typeof tz !== 'string' || tz === '') return false;
  try {
    zoneOf(tz);
    return true;
  } catch {
    return false;
  }
}

/** The offsets of one time zone. */
export class Zone {
  readonly #format: Intl.DateTimeFormat;
  readonly #isUtc: boolean;
  /** By window number: the offset at the start of the window, then the shifts in it. */
  readonly #windows = new Map<number, readonly Shift[]>();

  constructor(tz: string) {
    this.#format = new Intl.DateTimeFormat('en-US', { timeZone: tz, timeZoneName: 'longOffset' });
    this.#isUtc = tz === 'UTC';
  }

  offsetAt(at: number): number {
    if (this.#isUtc) return 0;
    let offset = 0;
    for (const shift of this.#window(Math.floor(at / WINDOW_MS))) if (shift.at <= at) offset = shift.offset;
    return offset;
  }

  /** Returns the spans from `from` to `to` in order, without gaps. Adjacent spans have different offsets. */
  spans(from: number, to: number): readonly ZoneSpan[] {
    if (this.#isUtc) return [{ from, to, offset: 0 }];
    const shifts: Shift[] = [{ at: from, offset: this.offsetAt(from) }];
    for (let index = Math.floor(from / WINDOW_MS); index * WINDOW_MS < to; index += 1) {
      for (const shift of this.#window(index)) {
        if (shift.at > from && shift.at < to && shift.offset !== shifts.at(-1)?.offset) shifts.push(shift);
      }
    }
    return shifts.map(({ at, offset }, index) => ({ from: at, to: shifts[index + 1]?.at ?? to, offset }));
  }

  #window(index: number): readonly Shift[] {
    let window = this.#windows.get(index);
    if (window === undefined) {
      window = this.#shiftsFrom(index * WINDOW_MS);
      if (this.#windows.size >= MAX_WINDOWS) this.#windows.clear();
      this.#windows.set(index, window);
    }
    return window;
  }

  #shiftsFrom(start: number): readonly Shift[] {
    const shifts: Shift[] = [{ at: start, offset: this.#readOffset(start) }];
    for (let probe = start + PROBE_MS; probe <= start + WINDOW_MS; probe += PROBE_MS) {
      const offset = this.#readOffset(probe);
      for (let from = probe - PROBE_MS; shifts.at(-1)?.offset !== offset; ) {
        from = this.#firstShift(from, probe);
        shifts.push({ at: from, offset: this.#readOffset(from) });
      }
    }
    return shifts;
  }

  /** Returns the first whole second whose offset differs from that at `from`. The offset at `to` must differ. */
  #firstShift(from: number, to: number): number {
    const offset = this.#readOffset(from);
    let before = from;
    let after = to;
    while (after - before > SECOND_MS) {
      const middle = before + Math.floor((after - before) / (2 * SECOND_MS)) * SECOND_MS;
      if (this.#readOffset(middle) === offset) before = middle;
      else after = middle;
    }
    return after;
  }

  #readOffset(at: number): number {
    const written = / GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(this.#format.format(at));
    if (written === null) throw new RangeError('Bug in Umbel: an offset from UTC could not be read');
    const [, sign = '+', hours = '0', minutes = '0', seconds = '0'] = written;
    const offset = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * SECOND_MS;
    return sign === '-' ? -offset : offset;
  }
}

// Excluded days.

/** Days without occurrences of a schedule, in their checked and stored form. */
export interface ExcludedDays {
  /** `YYYY-MM-DD`, or `MM-DD` for the same day of every year. */
  readonly dates: readonly string[];
  /** First and last day, both inclusive. */
  readonly ranges: readonly { readonly from: string; readonly to: string }[];
  /** 0 is Sunday. */
  readonly weekdays: readonly number[];
}

/** Longer than any day, including a day that a zone had twice. */
const LONGEST_DAY_MS = 3 * DAY_MS;

/** Returns the day in a time zone, as `YYYY-MM-DD`. */
export function dayAt(tz: string, at: number): string {
  return dayOf(at + zoneOf(tz).offsetAt(at));
}

/** Returns the day of a clock time. */
function dayOf(clockTime: number): string {
  return new Date(clockTime).toISOString().slice(0, 10);
}

/** Returns the first moment after `at` on another day: the next day or, if clocks are set back, the day before. */
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

/** Returns the last day of the longest range that contains the day, ignoring ranges that begin on it. */
export function rangeEndOf({ ranges }: ExcludedDays, day: string): string | undefined {
  const ends = ranges.filter(({ from, to }) => from < day && day <= to).map(({ to }) => to);
  return ends.sort().at(-1);
}

/** Returns whether a day (`YYYY-MM-DD`) is excluded. */
export function isExcluded({ dates, ranges, weekdays }: ExcludedDays, day: string): boolean {
  if (dates.includes(day) || dates.includes(day.slice(5))) return true;
  if (ranges.some(({ from, to }) => from <= day && day <= to)) return true;
  return weekdays.includes(new Date(`${day}T00:00:00Z`).getUTCDay());
}

/** Returns whether the text is an existing day, as `YYYY-MM-DD`. */
export function isDay(text: unknown): text is string {
  if (typeof text !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const at = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text);
}

/** Returns whether the text is a day of some year, as `MM-DD`. */
export function isDayOfYear(text: unknown): text is string {
  return typeof text === 'string' && isDay(`2000-${text}`); // a leap year
}

// The clock times that a cron expression allows, without regard to shifts. A clock time is the number of milliseconds since
// 1970 at which a clock in UTC shows it.

const A_SECOND_MS = 1000;
const MINUTE_MS = 60 * A_SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
/** The calendar with its weekdays repeats after 400 years, so an expression that does not occur in them never does. */
const MAX_MONTHS = 400 * 12;

/** Returns the first allowed time from `from` to `until`, both inclusive. */
export function nextClockTime(fields: CronFields, from: number, until: number): number | undefined {
  const start = Math.ceil(from / A_SECOND_MS) * A_SECOND_MS;
  if (start > until) return undefined;
  const midnight = Math.floor(start / DAY_MS) * DAY_MS;
  const date = new Date(midnight);
  let [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const today = timeOfDay(fields, start - midnight);
  if (today !== undefined && isAllowed(fields, year, month, day)) return within(midnight + today, until);
  day += 1;
  for (let months = 0; months <= MAX_MONTHS; months += 1) {
    const found = nextDay(fields, year, month, day);
    if (found !== undefined) {
      const earliest = timeOfDay(fields, 0);
      return earliest === undefined ? undefined : within(Date.UTC(year, month, found) + earliest, until);
    }
    month += 1;
    if (month === 12) [year, month] = [year + 1, 0];
    day = 1;
    if (Date.UTC(year, month) > until) return undefined;
  }
  return undefined;
}

function within(time: number, until: number): number | undefined {
  return time <= until ? time : undefined;
}

/** Returns the first allowed time of a day from `from` on, in milliseconds since midnight. */
function timeOfDay({ hours, minutes, seconds }: CronFields, from: number): number | undefined {
  const [firstMinute = 0] = minutes;
  const [firstSecond = 0] = seconds;
  for (const hour of hours) {
    const hourAt = hour * HOUR_MS;
    if (hourAt >= from) return hourAt + firstMinute * MINUTE_MS + firstSecond * A_SECOND_MS;
    if (hourAt + HOUR_MS <= from) continue;
    for (const minute of minutes) {
      const minuteAt = hourAt + minute * MINUTE_MS;
      if (minuteAt >= from) return minuteAt + firstSecond * A_SECOND_MS;
      if (minuteAt + MINUTE_MS <= from) continue;
      const second = seconds.find((each) => minuteAt + each * A_SECOND_MS >= from);
      if (second !== undefined) return minuteAt + second * A_SECOND_MS;
    }
  }
  return undefined;
}

/** Returns the first allowed day of a month from `from` on. Months are counted from 0. */
function nextDay(fields: CronFields, year: number, month: number, from: number): number | undefined {
  if (!fields.months.has(month + 1)) return undefined;
  const last = lastDayOf(year, month);
  for (let day = from; day <= last; day += 1) if (isAllowed(fields, year, month, day)) return day;
  return undefined;
}

/**
 * Returns whether an expression allows a day. If days of the month and weekdays are both restricted, a match of either is
 * enough, as in every cron.
 */
function isAllowed(
  { months, daysOfMonth, weekdays }: CronFields,
  year: number,
  month: number,
  day: number,
): boolean {
  if (!months.has(month + 1)) return false;
  if (daysOfMonth.isAny && weekdays.isAny) return true;
  const last = lastDayOf(year, month);
  const isDay = daysOfMonth.days.has(day) || (daysOfMonth.hasLast && day === last);
  if (weekdays.isAny) return isDay;
  const weekday = new Date(Date.UTC(year, month, day)).getUTCDay();
  const isNth = weekdays.nth === 0 || Math.ceil(day / 7) === weekdays.nth;
  const isWeekday = (weekdays.days.has(weekday) && isNth) || (weekdays.last.has(weekday) && day > last - 7);
  return isWeekday || (!daysOfMonth.isAny && isDay);
}

function lastDayOf(year: number, month: number): number {
  return new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
}
