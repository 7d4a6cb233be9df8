/** Days as a time zone has them, and which of them are left out. Pure. */

/** Days on which nothing is fired, checked and in the form in which they are stored. */
export interface ExcludedDays {
  /** `YYYY-MM-DD`, or `MM-DD` for the same day of each year. */
  readonly dates: readonly string[];
  /** From the first day to the last, both included. */
  readonly ranges: readonly { readonly from: string; readonly to: string }[];
  /** 0 is Sunday. */
  readonly weekdays: readonly number[];
}

const DAY_MS = 86_400_000;
/** No day is longer. */
const LONGEST_DAY_MS = 2 * DAY_MS;

const formats = new Map<string, Intl.DateTimeFormat>();

/** @throws {RangeError} if there is no such zone. */
function formatOf(tz: string): Intl.DateTimeFormat {
  let format = formats.get(tz);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone: tz,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    formats.set(tz, format);
  }
  return format;
}

/** Whether this machine knows the time zone. */
export function isTimeZone(tz: unknown): tz is string {
  if (typeof tz !== 'string' || tz === '') return false;
  try {
    formatOf(tz);
    return true;
  } catch {
    return false;
  }
}

function partsAt(tz: string, at: number): Record<string, string> {
  return Object.fromEntries(
    formatOf(tz)
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  );
}

/** The day in a time zone, as `YYYY-MM-DD`. */
export function dayAt(tz: string, at: number): string {
  if (tz === 'UTC') return new Date(at).toISOString().slice(0, 10);
  const { year = '', month = '', day = '' } = partsAt(tz, at);
  return `${year.padStart(4, '0')}-${month}-${day}`;
}

/** How far the clocks of a time zone are ahead of UTC, in milliseconds. */
export function offsetAt(tz: string, at: number): number {
  if (tz === 'UTC') return 0;
  const { year, month, day, hour, minute, second } = partsAt(tz, at);
  const local = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  return local - Math.floor(at / 1000) * 1000;
}

/** The first moment of the next day of a time zone. */
export function dayEndAfter(tz: string, at: number): number {
  const day = dayAt(tz, at);
  const usual = at + DAY_MS - modulo(at + offsetAt(tz, at), DAY_MS);
  if (dayAt(tz, usual - 1) === day && dayAt(tz, usual) !== day) return usual;
  return firstMoment(at, at + LONGEST_DAY_MS, (moment) => dayAt(tz, moment) !== day);
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}

/** The first moment after `from` at which something is so, which it is at `to` and stays. */
export function firstMoment(from: number, to: number, isSo: (moment: number) => boolean): number {
  let before = from;
  let after = to;
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (isSo(middle)) after = middle;
    else before = middle;
  }
  return after;
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
