import { describe, expect, test } from 'vitest';
import type { Runtime } from '../../../src/client/runtime.js';
import type { ScheduleRecord } from '../../../src/job/schedule-record.js';
import { decide } from '../../../src/schedule/decide.js';
import { normalizeSchedule, type ScheduleOptions } from '../../../src/schedule/options.js';
import { sleepMs, untilDue, withoutSpinning } from '../../../src/schedule/runner.js';
import { readCron } from '../../../src/timing/cron.js';
import {
  latestOccurrences,
  nextCronOccurrence,
  nextOccurrence,
  nextOccurrences,
} from '../../../src/timing/timing.js';

const HOUR = 3_600_000;
const named = (options: ScheduleOptions) => ({ name: 'test', ...normalizeSchedule('test', options) });
const text = (moment: number) => new Date(moment).toISOString().replace(':00.000Z', 'Z');

/** The first slots after a moment. */
function slots(cron: string, tz: string, after: string, count: number): string[] {
  return nextOccurrences(named({ cron, tz }), Date.parse(after), count).map(text);
}

describe('a midnight that the clocks skip is fired at one o’clock', () => {
  test.each([
    [
      'Africa/Cairo',
      '0 0 * * *',
      '2026-04-22T12:00Z',
      ['2026-04-22T22:00Z', '2026-04-23T22:00Z', '2026-04-24T21:00Z'],
    ],
    ['Africa/Cairo', '@daily', '2026-04-23T12:00Z', ['2026-04-23T22:00Z', '2026-04-24T21:00Z']],
    ['Africa/Cairo', '30 0 * * 5', '2026-04-22T12:00Z', ['2026-04-23T22:30Z', '2026-04-30T21:30Z']],
    ['America/Santiago', '0 0 * * *', '2026-09-05T12:00Z', ['2026-09-06T04:00Z', '2026-09-07T03:00Z']],
    ['America/Santiago', '@weekly', '2026-09-05T12:00Z', ['2026-09-06T04:00Z', '2026-09-13T03:00Z']],
    ['Asia/Beirut', '0 0 * * *', '2026-03-28T12:00Z', ['2026-03-28T22:00Z', '2026-03-29T21:00Z']],
    ['America/Havana', '0 0 * * *', '2026-03-07T12:00Z', ['2026-03-08T05:00Z', '2026-03-09T04:00Z']],
    ['Atlantic/Azores', '0 0 * * *', '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T00:00Z']],
    ['Atlantic/Azores', '@monthly', '2026-03-28T12:00Z', ['2026-04-01T00:00Z']],
  ])('in %s, `%s`', (tz, cron, after, expected) => {
    expect(slots(cron, tz, after, expected.length)).toEqual(expected);
  });
});

describe('a midnight that comes twice is fired once, the first time', () => {
  test.each([
    ['America/Havana', '0 0 * * *', '2026-10-31T12:00Z', ['2026-11-01T04:00Z', '2026-11-02T05:00Z']],
    ['Atlantic/Azores', '0 0 * * *', '2026-10-24T12:00Z', ['2026-10-25T00:00Z', '2026-10-26T01:00Z']],
    // 24:00 is 23:00 of the same day again
    ['Asia/Beirut', '30 23 * * *', '2026-10-24T12:00Z', ['2026-10-24T20:30Z', '2026-10-25T21:30Z']],
    ['Asia/Beirut', '0 0 * * *', '2026-10-24T12:00Z', ['2026-10-24T22:00Z', '2026-10-25T22:00Z']],
  ])('in %s, `%s`', (tz, cron, after, expected) => {
    expect(slots(cron, tz, after, expected.length)).toEqual(expected);
  });
});

describe('clocks that shift by other than an hour', () => {
  test.each([
    // 02:00 is 02:30 on 4 October
    ['Australia/Lord_Howe', '15 2 * * *', '2026-10-02T20:00Z', ['2026-10-03T15:45Z', '2026-10-04T15:15Z']],
    [
      'Australia/Lord_Howe',
      '0 * * * *',
      '2026-10-03T14:00Z',
      ['2026-10-03T14:30Z', '2026-10-03T15:30Z', '2026-10-03T16:00Z', '2026-10-03T17:00Z'],
    ],
    // 02:00 is 01:30 again on 5 April
    ['Australia/Lord_Howe', '45 1 * * *', '2026-04-04T00:00Z', ['2026-04-04T14:45Z', '2026-04-05T15:15Z']],
    [
      'Australia/Lord_Howe',
      '*/15 * * * *',
      '2026-04-04T14:15Z',
      [
        '2026-04-04T14:30Z',
        '2026-04-04T14:45Z',
        '2026-04-04T15:00Z',
        '2026-04-04T15:15Z',
        '2026-04-04T15:30Z',
      ],
    ],
    // 01:00 is 03:00 on 29 March
    ['Antarctica/Troll', '30 1 * * *', '2026-03-28T12:00Z', ['2026-03-29T01:30Z', '2026-03-29T23:30Z']],
    ['Antarctica/Troll', '30 2 * * *', '2026-03-28T12:00Z', ['2026-03-29T02:30Z', '2026-03-30T00:30Z']],
    [
      'Antarctica/Troll',
      '0 * * * *',
      '2026-03-28T23:30Z',
      ['2026-03-29T00:00Z', '2026-03-29T01:00Z', '2026-03-29T02:00Z', '2026-03-29T03:00Z'],
    ],
    // 03:00 is 01:00 again on 25 October
    ['Antarctica/Troll', '0 2 * * *', '2026-10-24T12:00Z', ['2026-10-25T00:00Z', '2026-10-26T02:00Z']],
    [
      'Antarctica/Troll',
      '0 * * * *',
      '2026-10-24T23:30Z',
      ['2026-10-25T00:00Z', '2026-10-25T01:00Z', '2026-10-25T02:00Z', '2026-10-25T03:00Z'],
    ],
    // 03:45 is 02:45 again on 5 April
    [
      'Pacific/Chatham',
      '*/10 * * * *',
      '2026-04-04T13:45Z',
      ['2026-04-04T13:55Z', '2026-04-04T14:05Z', '2026-04-04T14:15Z', '2026-04-04T14:25Z'],
    ],
    ['Pacific/Chatham', '0 3 * * *', '2026-04-04T00:00Z', ['2026-04-04T13:15Z', '2026-04-05T14:15Z']],
    ['Asia/Kathmandu', '15 0 * * *', '2026-04-04T00:00Z', ['2026-04-04T18:30Z']],
    ['Australia/Eucla', '0 0 * * *', '2026-04-04T00:00Z', ['2026-04-04T15:15Z']],
    // 30 December 2011 was left out, a Friday
    ['Pacific/Apia', '0 12 * * 5', '2011-12-24T00:00Z', ['2011-12-30T22:00Z', '2012-01-05T22:00Z']],
    ['Pacific/Apia', '0 12 * * *', '2011-12-29T00:00Z', ['2011-12-29T22:00Z', '2011-12-30T22:00Z']],
  ])('in %s, `%s` after %s', (tz, cron, after, expected) => {
    expect(slots(cron, tz, after, expected.length)).toEqual(expected);
  });
});

describe('clocks that go the other way round, or several times a year', () => {
  test.each([
    // Winter time is the one that is set: 02:00 is 01:00 on 25 October.
    ['Europe/Dublin', '30 1 * * *', '2026-10-24T12:00Z', ['2026-10-25T00:30Z', '2026-10-26T01:30Z']],
    ['Europe/Dublin', '30 1 * * *', '2026-03-28T12:00Z', ['2026-03-29T01:30Z', '2026-03-30T00:30Z']],
    // From 15 February to 22 March, Ramadan, clocks are an hour behind.
    ['Africa/Casablanca', '30 2 * * *', '2026-02-14T12:00Z', ['2026-02-15T01:30Z', '2026-02-16T02:30Z']],
    ['Africa/Casablanca', '30 2 * * *', '2026-03-21T12:00Z', ['2026-03-22T02:30Z', '2026-03-23T01:30Z']],
  ])('in %s, `%s` after %s', (tz, cron, after, expected) => {
    expect(slots(cron, tz, after, expected.length)).toEqual(expected);
  });
});

describe('an expression that allows every hour is fired whenever the clocks show it', () => {
  test.each([
    ['0 * * * *', ['2026-10-25T00:00Z', '2026-10-25T01:00Z', '2026-10-25T02:00Z']],
    ['0 0-23 * * *', ['2026-10-25T00:00Z', '2026-10-25T01:00Z', '2026-10-25T02:00Z']],
    ['30 * * * 0', ['2026-10-25T00:30Z', '2026-10-25T01:30Z', '2026-10-25T02:30Z']],
    // Others have 02:00 once.
    ['0 */2 * * *', ['2026-10-25T00:00Z', '2026-10-25T03:00Z', '2026-10-25T05:00Z']],
    ['*/30 2 * * *', ['2026-10-25T00:00Z', '2026-10-25T00:30Z', '2026-10-26T01:00Z']],
  ])('`%s`', (cron, expected) => {
    expect(slots(cron, 'Europe/Berlin', '2026-10-24T23:59Z', 3)).toEqual(expected);
  });

  test('to the second', () => {
    const schedule = named({ cron: '*/30 59 2 * * *', tz: 'Europe/Berlin' });
    const found = nextOccurrences(schedule, Date.parse('2026-10-25T00:58Z'), 3).map((slot) =>
      new Date(slot).toISOString(),
    );
    expect(found).toEqual([
      '2026-10-25T00:59:00.000Z',
      '2026-10-25T00:59:30.000Z',
      '2026-10-26T01:59:00.000Z',
    ]);
  });
});

test('two times that a shift brings to the same moment are one slot', () => {
  expect(slots('0 2,3 * * *', 'Europe/Berlin', '2026-03-28T23:00Z', 2)).toEqual([
    '2026-03-29T01:00Z',
    '2026-03-30T00:00Z',
  ]);
});

describe('slots that were missed are those that would have been fired', () => {
  const all = { catchUp: 'all', overlap: 'allow' } as const;
  const after = (last: string, now: string, options: ScheduleOptions) => {
    const state = { ...named(options), isPaused: false, since: 0, last: Date.parse(last), waiting: [] };
    return decide(state, Date.parse(now)).fire.map(text);
  };

  test('once, where a time comes twice', () => {
    const daily = { cron: '30 2 * * *', tz: 'Europe/Berlin', ...all };
    expect(after('2026-10-24T22:00Z', '2026-10-25T01:45Z', daily)).toEqual(['2026-10-25T00:30Z']);
    // It was fired, and then the worker was away.
    expect(after('2026-10-25T00:30Z', '2026-10-25T01:45Z', daily)).toEqual([]);
  });

  test('once, where a time is skipped', () => {
    const daily = { cron: '0 0 * * *', tz: 'Africa/Cairo', ...all };
    expect(after('2026-04-22T22:00Z', '2026-04-25T12:00Z', daily)).toEqual([
      '2026-04-23T22:00Z',
      '2026-04-24T21:00Z',
    ]);
  });

  test('and a decision at any moment of the hour that comes twice leads to a later one', () => {
    for (const [tz, from] of [
      ['America/Havana', '2026-11-01T03:00Z'],
      ['Pacific/Chatham', '2026-04-04T12:00Z'],
    ] as const) {
      for (const cron of ['0 0 * * *', '*/10 * * * *']) {
        const timing = named({ cron, tz, ...all });
        let last = Date.parse(from);
        for (let now = Date.parse(from); now < Date.parse(from) + 5 * HOUR; now += 60_000) {
          const state = { ...timing, isPaused: false, since: 0, last, waiting: [] };
          const decision = decide(state, now);
          expect(decision.nextAt).toBeGreaterThan(now);
          last = decision.last ?? last;
        }
      }
    }
  });

  test('found from the end, though there are many before', () => {
    const bursts = named({ cron: '* * * 1 * *' }); // each second of the first of a month
    const slots = latestOccurrences(
      bursts,
      Date.parse('2025-01-01T00:00Z'),
      Date.parse('2026-10-20T00:00Z'),
      3,
    );
    expect(slots.map((slot) => new Date(slot).toISOString())).toEqual([
      '2026-10-01T23:59:57.000Z',
      '2026-10-01T23:59:58.000Z',
      '2026-10-01T23:59:59.000Z',
    ]);
  });
});

/** A stored schedule of every ten seconds. Its target is of no account here. */
const everyTenSeconds = () =>
  ({
    ...named({ every: '10s' }),
    digest: '',
    source: 'code',
    since: 0,
    target: { name: 'x', queue: 'x' },
  }) as unknown as ScheduleRecord;

test('the job of a schedule starts its lead before the occurrence', () => {
  const sleep = (now: number, leadMs: number) =>
    sleepMs(everyTenSeconds(), { last: 10_000 }, now, { leadMs });
  expect(sleep(12_000, 0)).toBe(8000);
  expect(sleep(12_000, 10)).toBe(7990);
  expect(sleep(19_995, 10)).toBe(0);
});

test('within its lead, it waits until the occurrence is due, also if timers are early', async () => {
  let now = 19_992;
  const pauses: number[] = [];
  const clock = { now: () => now };
  const pause = async (ms: number) => {
    pauses.push(ms);
    now += Math.max(1, ms - 3);
  };
  const runtime = { clock, pause, scheduleLeadMs: 10 } as unknown as Runtime;
  await untilDue(runtime, everyTenSeconds(), { last: 10_000 });
  expect(now).toBe(20_000);
  expect(pauses).toEqual([8, 3, 2, 1]);
  now = 15_000;
  await untilDue(runtime, everyTenSeconds(), { last: 10_000 }); // woken by a change
  expect(now).toBe(15_000);
});

test('a turn that did nothing is never followed by one at once', () => {
  const record = everyTenSeconds();
  expect(sleepMs(record, { last: 10_000 }, 20_000, { leadMs: 0 })).toBe(0);
  expect(withoutSpinning(0)).toBeGreaterThanOrEqual(10);
  expect(withoutSpinning(7)).toBe(7);
});

describe('what occurs seldom', () => {
  test('is found years ahead', () => {
    expect(slots('0 0 29 2 *', 'Europe/Berlin', '2096-03-01T00:00Z', 1)).toEqual(['2104-02-28T23:00Z']);
    expect(slots('0 0 * 2 fri#5', 'UTC', '2026-01-01T00:00Z', 2)).toEqual([
      '2036-02-29T00:00Z',
      '2064-02-29T00:00Z',
    ]);
    expect(slots('0 12 29 2 *', 'Africa/Cairo', '2026-01-01T00:00Z', 1)).toEqual(['2028-02-29T10:00Z']);
  });

  test('or never is found out at once', () => {
    const never = readCron({ cron: '0 0 31 4,6 *', seed: '' });
    expect(nextCronOccurrence(never, 'Europe/Berlin', Date.UTC(2026, 0, 1))).toBeUndefined();
    const schedule = { name: 'test', timing: { cron: '0 0 * * *', tz: 'Europe/Berlin' } };
    expect(nextOccurrence(schedule, Date.UTC(9999, 11, 31))).toBeUndefined();
    expect(nextOccurrence(schedule, 8.64e15)).toBeUndefined();
    expect(nextOccurrence(schedule, -8.64e15)).toBeGreaterThan(-8.64e15);
  });
});
