/**
 * When the clocks of time zones shift, and when cron expressions occur around it, reckoned minute by minute from the
 * times that `Intl` writes. It shares no code with the product.
 */
const MINUTE = 60_000;
const WEEK = 7 * 86_400_000;

/** A time on a clock. */
interface ClockTime {
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  /** 0 is Sunday. */
  readonly weekday: number;
  /** Of the month. */
  readonly lastDay: number;
}

/** An expression, and the same in words of code. */
export interface Rule {
  readonly cron: string;
  readonly holds: (time: ClockTime) => boolean;
  /** It allows every hour of the day. */
  readonly isHourly: boolean;
}

const rule = (cron: string, holds: Rule['holds'], isHourly = false): Rule => ({ cron, holds, isHourly });
const at = (hour: number, minute: number) => (time: ClockTime) =>
  time.hour === hour && time.minute === minute;

export const RULES: readonly Rule[] = [
  rule('* * * * *', () => true, true),
  rule('*/10 * * * *', ({ minute }) => minute % 10 === 0, true),
  rule('0 * * * *', ({ minute }) => minute === 0, true),
  rule('45 * * * *', ({ minute }) => minute === 45, true),
  rule('7,37 * * * 6', ({ minute, weekday }) => (minute === 7 || minute === 37) && weekday === 6, true),
  rule('0 0 * * *', at(0, 0)),
  rule('30 0 * * *', at(0, 30)),
  rule('30 2 * * *', at(2, 30)),
  rule('15 1,2,3 * * *', ({ hour, minute }) => minute === 15 && hour >= 1 && hour <= 3),
  rule('*/20 0-3 * * *', ({ hour, minute }) => minute % 20 === 0 && hour <= 3),
  rule('0 */2 * * *', ({ hour, minute }) => minute === 0 && hour % 2 === 0),
  rule('59 23 * * *', at(23, 59)),
  rule('0 0 * * 0', (time) => at(0, 0)(time) && time.weekday === 0),
  rule('30 1 L * 5', (time) => at(1, 30)(time) && (time.day === time.lastDay || time.weekday === 5)),
];

/** The clock of a time zone: what it shows at a moment, as if that were UTC. */
export function clockOf(tz: string): (moment: number) => number {
  const format = new Intl.DateTimeFormat('sv-SE', {
    timeZone: tz,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
  return (moment) => Date.parse(`${format.format(moment).replace(' ', 'T')}Z`);
}

/** The moments at which the clocks shift between two moments. From 2025 to 2027, no clock shifts twice within a week. */
export function shiftsOf(tz: string, from: number, to: number): number[] {
  const clock = clockOf(tz);
  const ahead = (moment: number) => clock(moment) - moment;
  const shifts: number[] = [];
  let atStart = ahead(from);
  for (let start = from; start < to; start += WEEK) {
    let [before, after] = [start, Math.min(start + WEEK, to)];
    const atEnd = ahead(after);
    if (atEnd === atStart) continue;
    while (after - before > MINUTE) {
      const middle = before + Math.round((after - before) / 2 / MINUTE) * MINUTE;
      if (ahead(middle) === atStart) before = middle;
      else after = middle;
    }
    shifts.push(after);
    atStart = atEnd;
  }
  return shifts;
}

/** One minute of a walk. */
interface Minute {
  readonly moment: number;
  readonly shown: number;
  /** The clock has shown it before. */
  readonly isAgain: boolean;
  /** The times that the clock has skipped just before, with the moments at which they would have been shown. */
  readonly skipped: readonly { readonly time: number; readonly moment: number }[];
}

/** What the clock of a zone does from minute to minute. */
export function walk(tz: string, from: number, to: number): Minute[] {
  const clock = clockOf(tz);
  const seen = new Set<number>();
  const minutes: Minute[] = [];
  let last: number | undefined;
  for (let moment = from; moment < to; moment += MINUTE) {
    const shown = clock(moment);
    const skipped: { time: number; moment: number }[] = [];
    if (last !== undefined) {
      for (let time = last + MINUTE, n = 0; time < shown; time += MINUTE, n += 1)
        if (!seen.has(time)) skipped.push({ time, moment: moment + n * MINUTE });
    }
    minutes.push({ moment, shown, isAgain: seen.has(shown), skipped });
    seen.add(shown);
    last = shown;
  }
  return minutes;
}

/** The moments of a walk at which a rule occurs, as docs/operations.md promises. */
export function occurrencesOf({ holds, isHourly }: Rule, minutes: readonly Minute[]): number[] {
  const found = new Set<number>();
  for (const { moment, shown, isAgain, skipped } of minutes) {
    if (holds(readClock(shown)) && (isHourly || !isAgain)) found.add(moment);
    for (const each of skipped) if (holds(readClock(each.time))) found.add(each.moment);
  }
  return [...found].sort((a, b) => a - b);
}

function readClock(shown: number): ClockTime {
  const date = new Date(shown);
  return {
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    weekday: date.getUTCDay(),
    lastDay: new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate(),
  };
}
