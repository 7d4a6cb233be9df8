import { InvalidOptionError } from '@umbel/core';
import { CronExpressionParser } from 'cron-parser';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decide, type ScheduleState } from '../../src/schedule/decide.js';
import { normalizeSchedule, type ScheduleOptions } from '../../src/schedule/options.js';
import { dayAt, dayEndAfter, isExcluded, zoneOf } from '../../src/timing/calendar.js';
import { cronFault } from '../../src/timing/cron.js';
import {
  dueAt,
  dueOccurrences,
  latestOccurrences,
  MAX_CATCH_UP,
  MISSED_AFTER_MS,
  nextOccurrence,
  nextOccurrences,
} from '../../src/timing/timing.js';

const SLOW = 30_000; // hundreds of schedules, and for each some walks through its slots
const DAY = 86_400_000;
const YEAR = 365 * DAY;
const FROM = Date.UTC(2025, 0, 1);

const zone = fc.constantFrom(
  'UTC',
  'Europe/Zurich',
  'America/New_York',
  'Australia/Lord_Howe',
  'Asia/Kolkata',
);
const moment = fc.integer({ min: FROM, max: FROM + 3 * YEAR });
const number = (max: number, min = 0) => fc.integer({ min, max }).map(String);
const field = (max: number, min = 0) =>
  fc.oneof(
    fc.constant('*'),
    number(max, min),
    fc.integer({ min: 1, max: Math.max(1, Math.floor(max / 2)) }).map((step) => `*/${step}`),
    fc.uniqueArray(number(max, min), { minLength: 2, maxLength: 2 }).map((both) => both.join(',')),
  );
const cron = fc
  .tuple(
    field(59),
    field(23),
    fc.oneof(fc.constant('*'), number(28, 1)),
    field(12, 1),
    fc.oneof(fc.constant('*'), number(6)),
  )
  .map((fields) => fields.join(' '));
const every = fc.integer({ min: 1000, max: 30 * 86_400_000 });
const weekdays = fc.subarray(['monday', 'tuesday', 'sunday'] as const);
const dates = fc.array(fc.constantFrom('12-25', '01-01', '2026-05-01', '2025-10-26', '2026-03-29'), {
  maxLength: 3,
});
const except = fc.record({ dates, weekdays });
const rhythm: fc.Arbitrary<{ cron: string } | { every: number }> = fc.oneof(
  fc.record({ cron }),
  fc.record({ every }),
);
function leavesSlots(given: ScheduleOptions): boolean {
  try {
    normalizeSchedule('law', given);
    return true;
  } catch (error) {
    if (error instanceof InvalidOptionError && error.option === 'except') return false;
    throw error;
  }
}
const options: fc.Arbitrary<ScheduleOptions> = fc
  .tuple(rhythm, zone, fc.option(except), fc.option(moment), fc.option(fc.integer({ min: 0, max: 2 * YEAR })))
  .map(([own, tz, without, start, length]) => ({
    ...own,
    tz,
    ...(without !== null && { except: without }),
    ...(start !== null && { start: new Date(start) }),
    ...(start !== null && length !== null && { end: new Date(start + length) }),
  }))
  // Days that leave nothing are refused.
  .filter((given) => given.except === undefined || leavesSlots(given));
const named = (given: ScheduleOptions) => ({ name: 'law', ...normalizeSchedule('law', given) });

test('the next slot is later, within start and end, and on no day that is left out', {
  timeout: SLOW,
}, () => {
  fc.assert(
    fc.property(options, moment, (given, after) => {
      const schedule = named(given);
      const slot = nextOccurrence(schedule, after);
      if (slot === undefined) return;
      const { startAt = slot, endAt = slot, tz, except: days } = schedule.timing;
      expect(slot).toBeGreaterThan(after);
      expect(slot).toBeGreaterThanOrEqual(startAt);
      expect(slot).toBeLessThanOrEqual(endAt);
      if (days !== undefined) expect(isExcluded(days, dayAt(tz, slot))).toBe(false);
    }),
  );
});

test('slots do not depend on where the walk through them begins', { timeout: SLOW }, () => {
  fc.assert(
    fc.property(options, moment, fc.nat({ max: 5 * 86_400_000 }), (given, after, more) => {
      const schedule = named(given);
      const slots = nextOccurrences(schedule, after, 20);
      const from = after + more;
      const last = slots.at(-1);
      if (last === undefined || last <= from) return;
      expect(nextOccurrence(schedule, from)).toBe(slots.find((slot) => slot > from));
    }),
    { numRuns: 150 },
  );
});

const anyDay = fc.oneof(fc.constant('*'), fc.constantFrom('?', 'L', '1-7', '*/10', '13,31', '29/2', '15,L'));
const anyWeekday = fc.oneof(
  fc.constant('*'),
  fc.constantFrom('?', '1-5', 'sat,sun', '5L', '2#3', '5-7', '*/2', '0,7'),
);
const anyCron = fc
  .tuple(field(59), fc.oneof(field(23), fc.constant('8-17/3')), anyDay, field(12, 1), anyWeekday)
  .map((fields) => fields.join(' '))
  .filter((expression) => cronFault({ cron: expression, seed: 'law' }) === undefined);

test('away from shifts of the clocks, cron slots are those of cron-parser', { timeout: SLOW }, () => {
  let compared = 0;
  fc.assert(
    fc.property(anyCron, zone, moment, (expression, tz, after) => {
      const parsed = CronExpressionParser.parse(expression, { tz, currentDate: new Date(after) });
      const theirs = parsed.next().getTime();
      // The clocks are shifted neither just before nor just after either moment.
      fc.pre([after, theirs].every((at) => zoneOf(tz).spans(at - 2 * DAY, at + 2 * DAY).length === 1));
      compared += 1;
      expect(nextOccurrence({ name: 'law', timing: { cron: expression, tz } }, after)).toBe(theirs);
    }),
    { numRuns: 400 },
  );
  expect(compared).toBeGreaterThan(200);
});

test('a day ends where the next one begins', () => {
  fc.assert(
    fc.property(zone, moment, (tz, at) => {
      const end = dayEndAfter(tz, at);
      expect(dayAt(tz, end - 1)).toBe(dayAt(tz, at));
      expect(dayAt(tz, end)).not.toBe(dayAt(tz, at));
    }),
  );
});

test('intervals are aligned to their start, or to 1970', () => {
  fc.assert(
    fc.property(every, fc.option(moment), moment, (ms, start, after) => {
      const slot =
        nextOccurrence(named({ every: ms, ...(start !== null && { start: new Date(start) }) }), after) ?? 0;
      expect((slot - (start ?? 0)) % ms).toBe(0);
      if (after >= (start ?? 0)) expect(slot - after).toBeLessThanOrEqual(ms);
    }),
  );
});

test('the latest slots are the last ones of a walk', { timeout: SLOW }, () => {
  fc.assert(
    fc.property(
      options,
      moment,
      fc.nat({ max: 2 * 3_600_000 }),
      fc.integer({ min: 1, max: 9 }),
      (given, from, length, limit) => {
        const schedule = named({
          ...given,
          ...('every' in given && { every: Math.max(60_000, Number(given.every)) }),
        } as ScheduleOptions);
        const until = from + length;
        const walked: number[] = [];
        for (
          let slot = nextOccurrence(schedule, from);
          slot !== undefined && slot <= until;
          slot = nextOccurrence(schedule, slot)
        )
          walked.push(slot);
        expect(latestOccurrences(schedule, from, until, limit)).toEqual(walked.slice(-limit));
      },
    ),
  );
});

test('jitter delays by no more than it may, and the same each time', () => {
  fc.assert(
    fc.property(
      every,
      fc.double({ min: 0, max: 1, noNaN: true }),
      moment,
      fc.string(),
      (ms, part, slot, name) => {
        const jitter = Math.floor(ms * part);
        const schedule = { ...normalizeSchedule(name, { every: ms, jitter }), name };
        const due = dueAt(schedule, slot);
        expect(due).toBeGreaterThanOrEqual(slot);
        expect(due).toBeLessThanOrEqual(slot + jitter);
        expect(dueAt(schedule, slot)).toBe(due);
      },
    ),
  );
});

const catchUp = fc.constantFrom('one', 'skip', 'all' as const);

test('what is fired is due, in order, after the last, and of missed slots no more than the policy lets', () => {
  fc.assert(
    fc.property(
      every,
      catchUp,
      moment,
      fc.nat({ max: YEAR }),
      fc.nat({ max: 1000 }),
      (ms, policy, last, gone, jitter) => {
        const schedule = named({ every: ms, jitter });
        const now = last + gone;
        const { fire, missed, last: decided } = dueOccurrences(schedule, last, now, policy);
        for (const [index, slot] of fire.entries()) {
          expect(slot).toBeGreaterThan(fire[index - 1] ?? last);
          expect(dueAt(schedule, slot)).toBeLessThanOrEqual(now);
        }
        const caughtUp = fire.filter((slot) => now - dueAt(schedule, slot) > MISSED_AFTER_MS);
        expect(caughtUp.length).toBeLessThanOrEqual({ one: 1, skip: 0, all: MAX_CATCH_UP }[policy]);
        if (policy === 'one' && missed !== undefined) expect(fire.length).toBeGreaterThan(0);
        // Each slot is fired or skipped, once.
        if (decided !== undefined)
          expect(nextOccurrence(schedule, decided)).toBeGreaterThan(now - jitter - 1);
        if (missed !== undefined) expect(missed.latest).toBeLessThan(fire[0] ?? now);
      },
    ),
  );
});

test('step by step each slot is fired, skipped or waits, and none twice', () => {
  const overlap = fc.constantFrom('skip', 'queue', 'replace', 'allow' as const);
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 20_000 }), fc.boolean()), { maxLength: 40 });
  fc.assert(
    fc.property(overlap, steps, fc.nat({ max: 2000 }), (policy, moves, jitter) => {
      const schedule = named({ every: '2s', jitter });
      let state: ScheduleState = { ...schedule, overlap: policy, isPaused: false, since: 0, waiting: [] };
      const fired: number[] = [];
      let skipped = 0;
      let now = 0;
      for (const [ms, isRunning] of moves) {
        now += ms;
        const { runningMs: _ended, ...rest } = state;
        const decision = decide(isRunning ? { ...rest, runningMs: 5 } : rest, now);
        fired.push(...decision.fire);
        for (const { count } of decision.skipped) skipped += count;
        expect(decision.nextAt).toBeGreaterThan(now);
        state = {
          ...rest,
          waiting: decision.waiting,
          ...(decision.last !== undefined && { last: decision.last }),
        };
      }
      expect(fired).toEqual([...new Set(fired)].sort((a, b) => a - b));
      expect(fired.length + skipped + state.waiting.length).toBe((state.last ?? 0) / 2000);
    }),
  );
});
