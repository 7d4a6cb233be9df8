import { InvalidOptionError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { normalizeSchedule, type ScheduleOptions } from '../../../src/schedule/options.js';
import { dayAt, dayEndAfter } from '../../../src/timing/calendar.js';
import { dueAt, nextOccurrence, nextOccurrences } from '../../../src/timing/timing.js';

const named = (options: ScheduleOptions, name = 'test') => ({ name, ...normalizeSchedule(name, options) });

/** The first slots after a moment, as ISO times up to the minute. */
function slots(options: ScheduleOptions, after: string, count = 3): string[] {
  return nextOccurrences(named(options), Date.parse(after), count).map((slot) =>
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
    expect(nextOccurrence(named({ cron: '*/10 * * * * *' }), 1001)).toBe(10_000);
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

  test('with an H has a time that follows from the name', () => {
    const daily = { cron: 'H H * * *' } as const;
    const first = nextOccurrence(named(daily, 'a'), 0);
    expect(nextOccurrence(named(daily, 'a'), 0)).toBe(first);
    const others = ['b', 'c', 'd', 'e'].map((name) => nextOccurrence(named(daily, name), 0));
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
    expect(nextOccurrence(named({ cron: '* * * * *', end }), end.getTime())).toBeUndefined();
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

  test('may be all that is left before the end', () => {
    const ended = { cron: '0 0 25 12 *', end: new Date('2025-12-31'), except: { dates: ['12-25'] } };
    expect(nextOccurrence(named(ended), 0)).toBeUndefined();
  });

  test('may be all weekdays but one on which a rare day falls', () => {
    const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday'] as const;
    expect(slots({ cron: '0 0 29 2 *', except: { weekdays } }, '2026-01-01T00:00Z', 2)).toEqual([
      '2048-02-29T00:00Z',
      '2076-02-29T00:00Z',
    ]);
  });

  test('make a day of the month and a weekday of it, as Celery reads both', () => {
    const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'saturday'] as const;
    expect(slots({ cron: '0 9 13 * *', except: { weekdays } }, '2026-01-01T00:00Z', 3)).toEqual([
      '2026-02-13T09:00Z',
      '2026-03-13T09:00Z',
      '2026-11-13T09:00Z',
    ]);
    expect(slots({ cron: '0 9 13 * fri' }, '2026-01-01T00:00Z', 3)).toEqual([
      '2026-01-02T09:00Z',
      '2026-01-09T09:00Z',
      '2026-01-13T09:00Z',
    ]);
  });

  test('end where the clocks go back into them', () => {
    // 00:01 of the 7th was 23:01 of the 6th again.
    const saturday = {
      cron: '0,30 * * * *',
      tz: 'America/St_Johns',
      except: { weekdays: ['saturday'] },
    } as const;
    expect(slots(saturday, '2010-11-06T12:00Z', 3)).toEqual([
      '2010-11-07T02:30Z',
      '2010-11-07T03:30Z',
      '2010-11-07T04:00Z',
    ]);
    const sunday = { ...saturday, except: { weekdays: ['sunday'] } } as const;
    expect(slots(sunday, '2010-11-07T02:00Z', 2)).toEqual(['2010-11-07T03:00Z', '2010-11-08T03:30Z']);
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
    nextOccurrences(schedule, 0, 20).map((slot) => dueAt(schedule, slot) - slot);
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
  [{ cron: `${'0,'.repeat(600)}0 * * * *` }, 'cron'],
  [{ cron: '0 0 31 4,6 *' }, 'cron'],
  [{ cron: '*/90 * * * *' }, 'cron'],
  [{ cron: '0 0 25 12 *', except: { dates: ['12-25'] } }, 'except'],
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

describe('what would never be fired, or not as it is written, is refused in words', () => {
  const said = (options: object) => {
    try {
      normalizeSchedule('test', options as ScheduleOptions);
      return 'taken';
    } catch (error) {
      return error instanceof InvalidOptionError ? error.message : error;
    }
  };

  test.each(['0 0 31 4,6 *', '0 0 30 2 *', '0 0 31 2,4,6,9,11 ?', '0 0 H(30-31) 2 *'])(
    '`%s` has no day',
    (cron) => {
      expect(said({ cron })).toBe(
        'Expected `cron` to be a cron expression (it never occurs: no allowed month has an allowed day), ' +
          `got ${JSON.stringify(cron)}.`,
      );
    },
  );

  test.each([
    [
      '*/90 * * * *',
      "a step in the minute field is at most 60, not 90; for an interval, use `every: '90m'` instead of `cron`",
    ],
    [
      '*/90 * * * * *',
      "a step in the second field is at most 60, not 90; for an interval, use `every: '90s'` instead of `cron`",
    ],
    [
      '0 1/36 * * *',
      "a step in the hour field is at most 24, not 36; for an interval, use `every: '36h'` instead of `cron`",
    ],
    [
      'H/90 * * * *',
      "a step in the minute field is at most 60, not 90; for an interval, use `every: '90m'` instead of `cron`",
    ],
    ['0 0 */40 * *', 'a step in the day of month field is at most 31, not 40'],
    ['0 22-2 * * *', 'the range 22-2 in the hour field runs past its end: write 22-23,0-2'],
    ['0 0 * * fri-mon', 'the range fri-mon in the day of week field runs past its end: write 5-6,0-1'],
    ['0 0 * * FRI-SUN', 'the range FRI-SUN in the day of week field runs past its end: write 5-6,0'],
    ['0 0 1 nov-jan *', 'the range nov-jan in the month field runs past its end: write 11-12,1'],
    ['50-10/5 * * * *', 'the range 50-10/5 in the minute field runs past its end: list the values'],
  ])('`%s`', (cron, why) => {
    expect(said({ cron })).toBe(
      `Expected \`cron\` to be a cron expression (${why}), got ${JSON.stringify(cron)}.`,
    );
  });

  test.each<[ScheduleOptions, string]>([
    [{ cron: '0 0 25 12 *', except: { dates: ['12-25'] } }, 'for 41 years), got "12-25"'],
    [{ cron: '0 0 * * 1', except: { weekdays: ['monday'] } }, 'for 41 years), got "monday"'],
    [
      { cron: '* * * * *', except: { ranges: [{ from: '2020-01-01', to: '2999-12-31' }] } },
      'for 41 years), got "2020-01-01 to 2999-12-31"',
    ],
    [
      { every: '7d', start: new Date('2026-01-05'), except: { weekdays: ['monday'] } },
      'for 41 years), got "monday"',
    ],
    [
      {
        every: '1d',
        start: new Date('2026-05-01'),
        end: new Date('2026-05-03'),
        except: { ranges: [{ from: '2026-04-01', to: '2026-05-31' }] },
      },
      '), got "2026-04-01 to 2026-05-31"',
    ],
  ])('days that leave nothing: %j', (options, rest) => {
    expect(said(options)).toBe(
      `Expected \`except\` to be fewer days (these leave the schedule no occurrence${rest.startsWith(')') ? '' : ' '}${rest}.`,
    );
  });

  test.each([
    '@daily',
    '@weekdays',
    '0 0 L * *',
    '0 0 * * 5L',
    '0 0 * * 5#3',
    '0 0 ? * MON-FRI',
    '0 0 1 * ?',
    '*/60 * * * *',
    '0 */24 * * *',
    '0 0 * * 5-7',
    'H H(0-5) * * *',
    'H/15 * * * *',
    '0 0 31 4,5 *',
    '30 0 0 1 1 *',
    '0 0 31 4 1',
  ])('`%s` is taken', (cron) => {
    expect(said({ cron })).toBe('taken');
  });

  test('a schedule that has ended stays', () => {
    const end = new Date('2020-01-01');
    expect(said({ cron: '0 0 25 12 *', end, except: { dates: ['12-24'] } })).toBe('taken');
  });
});
