import { InvalidArgumentError } from 'commander';
import { describe, expect, test } from 'vitest';
import {
  concurrency,
  duration,
  durationOrNone,
  integer,
  keyValue,
  list,
  moment,
  processCount,
  queueList,
} from '../../src/flags.js';

describe('arguments', () => {
  test.each([
    [integer(1, 10), '10', 10],
    [concurrency, '20', 20],
    [concurrency, '5..50', { min: 5, max: 50 }],
    [duration, '1.5h', '1.5h'],
    [duration, '0', '0'],
    [durationOrNone, 'none', false],
    [processCount, 'auto', 'auto'],
    [processCount, '4', 4],
    [moment, '2030-01-31T08:00:00+01:00', new Date('2030-01-31T07:00:00Z')],
    [moment, '2030-01-31', new Date('2030-01-31T00:00:00Z')],
    [keyValue, 'a=b=c', { a: 'b=c' }],
    [list, 'x', ['x']],
    [
      queueList,
      'email=20, default,r=1..4',
      [
        { queue: 'email', concurrency: 20 },
        { queue: 'default' },
        { queue: 'r', concurrency: { min: 1, max: 4 } },
      ],
    ],
  ] as [(text: string) => unknown, string, unknown][])('%o reads %j', (read, text, value) => {
    expect(read(text)).toEqual(value);
  });

  test('add up where they are given several times', () => {
    expect(list('b', ['a'])).toEqual(['a', 'b']);
    expect(keyValue('b=2', { a: '1' })).toEqual({ a: '1', b: '2' });
    expect(queueList('b', [{ queue: 'a' }])).toEqual([{ queue: 'a' }, { queue: 'b' }]);
  });

  test.each([
    [integer(1, 10), '11'],
    [integer(1, 10), '1e1'],
    [integer(0), '-1'],
    [concurrency, '0'],
    [concurrency, '5..4'],
    [concurrency, '1.5'],
    [duration, '10'],
    [duration, '10 years'],
    [durationOrNone, 'never'],
    [processCount, 'all'],
    [moment, '2030-01-31T08:00'],
    [moment, '2030-13-31'],
    [moment, 'tomorrow'],
    [keyValue, '=b'],
    [keyValue, 'a'],
    [queueList, ''],
    [queueList, 'a=1=2'],
  ] as [(text: string) => unknown, string][])('%o refuses %j', (read, text) => {
    expect(() => read(text)).toThrow(InvalidArgumentError);
  });
});
