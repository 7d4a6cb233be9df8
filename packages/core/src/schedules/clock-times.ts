/**
 * This module finds the times on a clock that a cron expression allows, as if clocks were never shifted. A time on a
 * clock is the number of milliseconds that UTC would have for it.
 */
import type { CronFields } from './cron.js';
import { DAY_MS } from './zones.js';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
/** The calendar repeats after 400 years, weekdays included: what does not occur in them never does. */
const MOST_MONTHS = 400 * 12;

/** The first time that the expression allows from `from` to `until`, both included. */
export function nextClockTime(fields: CronFields, from: number, until: number): number | undefined {
  const start = Math.ceil(from / SECOND_MS) * SECOND_MS;
  if (start > until) return undefined;
  const midnight = Math.floor(start / DAY_MS) * DAY_MS;
  const date = new Date(midnight);
  let [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const today = timeOfDay(fields, start - midnight);
  if (today !== undefined && isAllowed(fields, year, month, day)) return within(midnight + today, until);
  day += 1;
  for (let looked = 0; looked <= MOST_MONTHS; looked += 1) {
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

/** The first allowed time of a day that is not before `from`, in milliseconds since midnight. */
function timeOfDay({ hours, minutes, seconds }: CronFields, from: number): number | undefined {
  const [firstMinute = 0] = minutes;
  const [firstSecond = 0] = seconds;
  for (const hour of hours) {
    const hourAt = hour * HOUR_MS;
    if (hourAt >= from) return hourAt + firstMinute * MINUTE_MS + firstSecond * SECOND_MS;
    if (hourAt + HOUR_MS <= from) continue;
    for (const minute of minutes) {
      const minuteAt = hourAt + minute * MINUTE_MS;
      if (minuteAt >= from) return minuteAt + firstSecond * SECOND_MS;
      if (minuteAt + MINUTE_MS <= from) continue;
      const second = seconds.find((each) => minuteAt + each * SECOND_MS >= from);
      if (second !== undefined) return minuteAt + second * SECOND_MS;
    }
  }
  return undefined;
}

/** The first allowed day of a month, counted from 0, that is not before `from`. */
function nextDay(fields: CronFields, year: number, month: number, from: number): number | undefined {
  if (!fields.months.has(month + 1)) return undefined;
  const last = lastDayOf(year, month);
  for (let day = from; day <= last; day += 1) if (isAllowed(fields, year, month, day)) return day;
  return undefined;
}

/**
 * Whether an expression allows a day. If both days of the month and weekdays are restricted, one of them is enough, as
 * in every cron.
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
