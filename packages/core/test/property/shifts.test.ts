import { describe, expect, test } from 'vitest';
import { dayAt, dayEndAfter } from '../../src/timing/calendar.js';
import { latestOccurrences, nextOccurrence } from '../../src/timing/timing.js';
import { clockOf, occurrencesOf, RULES, shiftsOf, walk } from '../support/shifts.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** `UMBEL_EXHAUSTIVE=1` takes every zone and every shift, from all minutes of a day before to a day after. */
const IS_EXHAUSTIVE = process.env.UMBEL_EXHAUSTIVE === '1';
const AROUND = IS_EXHAUSTIVE ? 24 * HOUR : 3 * HOUR;
const TIMEOUT_MS = IS_EXHAUSTIVE ? 3_600_000 : 60_000;
const YEARS = { from: Date.UTC(2025, 0, 1), to: Date.UTC(2028, 0, 1) };

interface ShiftedZone {
  readonly tz: string;
  readonly shift: number;
}

const all: ShiftedZone[] = Intl.supportedValuesOf('timeZone').flatMap((tz) =>
  shiftsOf(tz, YEARS.from, YEARS.to).map((shift) => ({ tz, shift })),
);

/** The first of those shifts that are alike: by the same time, from the same time on the clock. */
function distinct(shifts: readonly ShiftedZone[]): ShiftedZone[] {
  const first = new Map<string, ShiftedZone>();
  for (const each of shifts) {
    const clock = clockOf(each.tz);
    const time = clock(each.shift - MINUTE);
    const key = `${time % DAY} ${clock(each.shift) - time} ${clock(each.shift) % HOUR}`;
    if (!first.has(key)) first.set(key, each);
  }
  return [...first.values()];
}

/** Clocks have done more than they do now. */
const PAST: ShiftedZone[] = [
  ['Pacific/Apia', '2011-12-30T10:00Z'], // a day was left out
  ['Pacific/Kwajalein', '1993-08-21T12:00Z'], // the same
  ['America/St_Johns', '2010-03-14T03:31Z'], // one minute after midnight
  ['America/St_Johns', '2010-11-07T02:31Z'], // back into the day before
  ['Asia/Pyongyang', '2015-08-14T15:00Z'], // half an hour, at midnight
  ['America/Caracas', '2016-05-01T07:00Z'],
  ['Antarctica/Casey', '2018-03-10T17:00Z'], // three hours
  ['Europe/Dublin', '1971-10-31T02:00Z'],
].map(([tz = '', at = '']) => ({ tz, shift: Date.parse(at) }));

function name({ tz, shift }: ShiftedZone): string {
  const clock = clockOf(tz);
  const shown = (moment: number) => new Date(clock(moment)).toISOString().slice(11, 16);
  return `${tz} ${new Date(shift).toISOString().slice(0, 16)}Z, ${shown(shift - MINUTE)} to ${shown(shift)}`;
}

test('there are zones that shift, by whole and half hours and by more, at midnight and by day', () => {
  const steps = new Set(
    all.map(({ tz, shift }) => clockOf(tz)(shift) - clockOf(tz)(shift - MINUTE) - MINUTE),
  );
  expect([...steps].sort((a, b) => a - b)).toEqual(
    expect.arrayContaining([-2 * HOUR, -HOUR, -HOUR / 2, HOUR / 2, HOUR, 2 * HOUR]),
  );
  expect(distinct(all).length).toBeGreaterThan(15);
  expect(all.length).toBeGreaterThan(500);
});

test('the shifts of the past are there', () => {
  for (const { tz, shift } of PAST) {
    const clock = clockOf(tz);
    expect([tz, clock(shift) - clock(shift - MINUTE)]).not.toEqual([tz, MINUTE]);
  }
});

describe.each([...PAST, ...(IS_EXHAUSTIVE ? all : distinct(all))].map((each) => [name(each), each] as const))(
  'around the shift of %s',
  (_name, { tz, shift }) => {
    // The walk begins long enough before for all that is shown again, and ends after what it is asked for.
    const minutes = walk(tz, shift - 3 * DAY, shift + 3 * DAY);
    const end = shift + 3 * DAY;

    test.each(RULES.map((rule) => [rule.cron, rule] as const))(
      'the next slot of `%s` is that of the clock, from every minute',
      { timeout: TIMEOUT_MS },
      (cron, rule) => {
        const occurrences = occurrencesOf(rule, minutes);
        const named = { name: 'law', timing: { cron, tz } };
        let index = 0;
        const check = (after: number) => {
          while ((occurrences[index] ?? Number.POSITIVE_INFINITY) <= after) index += 1;
          const expected = occurrences[index];
          const found = nextOccurrence(named, after) ?? 0;
          // Later than the walk goes, or just then.
          if (expected === undefined ? found < end : found !== expected)
            expect.fail(`after ${new Date(after).toISOString()}: ${found}, expected ${expected}`);
        };
        for (let after = shift - AROUND; after <= shift + AROUND; after += MINUTE) {
          check(after);
          check(after + MINUTE - 1);
        }
        // What was missed is what would have been fired.
        const [from, to] = [shift - AROUND, shift + AROUND];
        const within = occurrences.filter((each) => each > from && each <= to);
        expect(latestOccurrences(named, from, to, 5000)).toEqual(within);
        expect(latestOccurrences(named, from, to, 7)).toEqual(within.slice(-7));
      },
    );

    test('a day ends where the clock shows another one', () => {
      const dates = minutes.map(({ moment, shown }) => ({
        moment,
        date: new Date(shown).toISOString().slice(0, 10),
      }));
      for (const [index, { moment, date }] of dates.entries()) {
        if (Math.abs(moment - shift) > AROUND) continue;
        expect(dayAt(tz, moment)).toBe(date);
        const other = dates.slice(index).find((each) => each.date !== date);
        expect(dayEndAfter(tz, moment)).toBe(other?.moment);
      }
    });
  },
);
