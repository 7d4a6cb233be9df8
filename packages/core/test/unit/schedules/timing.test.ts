import { InvalidOptionError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { dayAt, dayEndAfter } from '../../../src/schedules/calendar.js';
import { normalizeSchedule, type ScheduleOptions } from '../../../src/schedules/options.js';
import { dueAt, nextSlot, nextSlots } from '../../../src/schedules/timing.js';

const named = (options: ScheduleOptions, name = 'test') => ({ name, ...normalizeSchedule(name, options) });

/** The first slots after a moment, as ISO times up to the minute. */
function slots(options: ScheduleOptions, after: string, count = 3): string[] {
  return nextSlots(named(options), Date.parse(after), count).map((slot) =>
    new Date(slot).toISOString().replace(':00.000Z', 'Z'),
  );
}

describe('a cron expression', () => {
  test('is read in its time zone, by default in UTC', () => {
    expect(slots({ cron: '0 3 * * *' }, '2026-07-01T12:00Z', 1)).toEqual(['2026-07-02T03:00Z']);
    expect(slots({ cron: '0 3 * * *', tz: 'Europe/Zurich' }, '2026-07-01T12:00Z', 1)).toEqual([
      '2026-07-02T01:00Z',
    ]);
    expect(slots({ cron: '@weekly', tz: 'America/New_York' }, '2026-07-01T12:00Z', 1)).toEqual([
      '2026-07-05T04:00Z',
    ]);
    expect(nextSlot(named({ cron: '*/10 * * * * *' }), 1001)).toBe(10_000);
  });

  test.each([
    // 02:00 is 03:00 on 29 March
    ['Europe/Zurich', '30 2 * * *', '2026-03-28T12:00Z', ['2026-03-29T01:30Z', '2026-03-30T00:30Z']],
    ['Europe/Zurich', '0 3 * * *', '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T01:00Z']],
    [
      'Europe/Zurich',
      '0 * * * *',
      '2026-03-28T23:30Z',
      ['2026-03-29T00:00Z', '2026-03-29T01:00Z', '2026-03-29T02:00Z'],
    ],
    // 02:00 is 03:00 on 8 March
    ['America/New_York', '30 2 * * *', '2026-03-07T12:00Z', ['2026-03-08T07:30Z', '2026-03-09T06:30Z']],
    [
      'America/New_York',
      '0,30 2 * * *',
      '2026-03-08T04:00Z',
      ['2026-03-08T07:00Z', '2026-03-08T07:30Z', '2026-03-09T06:00Z'],
    ],
    [
      'America/New_York',
      '0 * * * *',
      '2026-03-08T05:30Z',
      ['2026-03-08T06:00Z', '2026-03-08T07:00Z', '2026-03-08T08:00Z'],
    ],
  ])(
    'in %s, `%s`: when the clocks go forward, a time that is skipped comes as late as they went',
    (tz, cron, after, expected) => {
      expect(slots({ cron, tz }, after, expected.length)).toEqual(expected);
    },
  );

  test.each([
    // 03:00 is 02:00 again on 25 October
    ['Europe/Zurich', '30 2 * * *', '2026-10-24T12:00Z', ['2026-10-25T00:30Z', '2026-10-26T01:30Z']],
    [
      'Europe/Zurich',
      '0 * * * *',
      '2026-10-24T23:30Z',
      ['2026-10-25T00:00Z', '2026-10-25T01:00Z', '2026-10-25T02:00Z'],
    ],
    // 02:00 is 01:00 again on 1 November
    ['America/New_York', '30 1 * * *', '2026-10-31T12:00Z', ['2026-11-01T05:30Z', '2026-11-02T06:30Z']],
    [
      'America/New_York',
      '*/30 * * * *',
      '2026-11-01T05:15Z',
      ['2026-11-01T05:30Z', '2026-11-01T06:00Z', '2026-11-01T06:30Z', '2026-11-01T07:00Z'],
    ],
  ])(
    'in %s, `%s`: when the clocks go back, a time that comes twice is fired once, and each hour there is',
    (tz, cron, after, expected) => {
      expect(slots({ cron, tz }, after, expected.length)).toEqual(expected);
    },
  );

  test('goes on where the clocks are set by half an hour', { timeout: 30_000 }, () => {
    const sunday = { cron: '15 2 * * 0', tz: 'Australia/Lord_Howe' };
    // 02:00 is 01:30 again on 4 April
    expect(slots(sunday, '2027-03-29T00:00Z', 2)).toEqual(['2027-04-10T15:45Z', '2027-04-17T15:45Z']);
    expect(slots({ ...sunday, cron: '0 5 * * *' }, '2027-04-02T00:00Z', 3)).toEqual([
      '2027-04-02T18:00Z',
      '2027-04-03T18:30Z',
      '2027-04-04T18:30Z',
    ]);
  });

  test('with an H has a time that follows from the name', () => {
    const daily = { cron: 'H H * * *' } as const;
    const first = nextSlot(named(daily, 'a'), 0);
    expect(nextSlot(named(daily, 'a'), 0)).toBe(first);
    const others = ['b', 'c', 'd', 'e'].map((name) => nextSlot(named(daily, name), 0));
    expect(new Set([first, ...others]).size).toBeGreaterThan(3);
  });
});

describe('an interval', () => {
  test('is counted from 1970, or from its start, which is a slot', () => {
    expect(slots({ every: '5m' }, '2026-07-01T12:01Z')).toEqual([
      '2026-07-01T12:05Z',
      '2026-07-01T12:10Z',
      '2026-07-01T12:15Z',
    ]);
    const start = new Date('2026-07-01T12:02Z');
    expect(slots({ every: '5m', start }, '2026-06-01T00:00Z', 2)).toEqual([
      '2026-07-01T12:02Z',
      '2026-07-01T12:07Z',
    ]);
    expect(slots({ every: '5m', start }, '2026-07-01T12:02Z', 1)).toEqual(['2026-07-01T12:07Z']);
  });

  test('has its last slot at its end', () => {
    const end = new Date('2026-07-01T12:10Z');
    expect(slots({ every: '5m', end }, '2026-07-01T12:01Z', 9)).toEqual([
      '2026-07-01T12:05Z',
      '2026-07-01T12:10Z',
    ]);
    expect(nextSlot(named({ cron: '* * * * *', end }), end.getTime())).toBeUndefined();
  });
});

describe('days that are left out', () => {
  test('are dates, days of each year, ranges and weekdays of the time zone', () => {
    const except = {
      dates: ['2026-12-24', '12-25'],
      ranges: [{ from: '2026-12-28', to: '2026-12-30' }],
      weekdays: ['saturday', 'sunday'],
    } as const;
    expect(slots({ cron: '0 0 * * *', tz: 'Asia/Tokyo', except }, '2026-12-22T15:00Z', 3)).toEqual([
      '2026-12-30T15:00Z', // the 31st, a Thursday, in Tokyo
      '2026-12-31T15:00Z',
      '2027-01-03T15:00Z',
    ]);
  });

  test('hold for intervals too, however many slots a day has', () => {
    const except = { ranges: [{ from: '2026-01-01', to: '2029-12-31' }] };
    expect(slots({ every: '1s', tz: 'Europe/Zurich', except }, '2026-05-01T00:00Z', 1)).toEqual([
      '2029-12-31T23:00Z',
    ]);
  });

  test('may be all there is', () => {
    expect(nextSlot(named({ cron: '0 0 25 12 *', except: { dates: ['12-25'] } }), 0)).toBeUndefined();
  });

  test('end where the day does, also on days of 23 and 25 hours', () => {
    const hours = (day: string) => {
      const from = Date.parse(day);
      return (dayEndAfter('Europe/Zurich', from) - from) / 3_600_000;
    };
    expect(hours('2026-03-28T23:00Z')).toBe(23);
    expect(hours('2026-10-24T22:00Z')).toBe(25);
    expect(dayAt('Europe/Zurich', Date.parse('2026-10-24T22:00Z'))).toBe('2026-10-25');
  });
});

test('jitter follows from the name and the slot', () => {
  const one = named({ every: '1h', jitter: '10m' }, 'one');
  const two = named({ every: '1h', jitter: '10m' }, 'two');
  const delays = (schedule: typeof one) =>
    nextSlots(schedule, 0, 20).map((slot) => dueAt(schedule, slot) - slot);
  expect(delays(one)).toEqual(delays(one));
  expect(delays(one)).not.toEqual(delays(two));
  expect(new Set(delays(one)).size).toBeGreaterThan(15);
});

test.each<[object, string]>([
  [{}, 'cron'],
  [{ cron: '* * * * *', every: '1m' }, 'every'],
  [{ cron: '* * *' }, 'cron'],
  [{ cron: '' }, 'cron'],
  [{ cron: '61 * * * *' }, 'cron'],
  [{ cron: '0 0 30 2 *' }, 'cron'],
  [{ cron: 5 }, 'cron'],
  [{ every: 999 }, 'every'],
  [{ every: '11y' }, 'every'],
  [{ every: '1m', tz: 'Europe/Zuerich' }, 'tz'],
  [{ every: '1m', jitter: '61s' }, 'jitter'],
  [{ cron: '*/5 * * * *', jitter: '6m' }, 'jitter'],
  [{ every: '1m', start: new Date(Number.NaN) }, 'start'],
  [{ every: '1m', start: new Date(2), end: new Date(1) }, 'end'],
  [{ every: '1m', except: ['2026-12-25'] }, 'except'],
  [{ every: '1m', except: { dates: ['2026-02-30'] } }, 'except.dates'],
  [{ every: '1m', except: { ranges: [{ from: '2026-02-02', to: '2026-02-01' }] } }, 'except.ranges'],
  [{ every: '1m', except: { weekdays: ['caturday'] } }, 'except.weekdays'],
  [{ every: '1m', except: { days: [] } }, 'except.days'],
  [
    {
      every: '1m',
      except: { weekdays: ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] },
    },
    'except.weekdays',
  ],
  [{ every: '1m', catchUp: 'some' }, 'catchUp'],
  [{ every: '1m', overlap: 'wait' }, 'overlap'],
  [{ every: '1m', catchUp: 'all', overlap: 'skip' }, 'overlap'],
  [{ every: '1m', timezone: 'UTC' }, 'timezone'],
])('options %j are refused at once, naming %s', (options, option) => {
  const refused = () => normalizeSchedule('test', options as ScheduleOptions);
  expect(refused).toThrow(InvalidOptionError);
  expect(refused).toThrow(`\`${option}\``);
});
