import { InvalidOptionError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { type Duration, durationMs } from '../../src/base/time.js';
import { checkName } from '../../src/task/option-checks.js';
import { normalizeOptions } from '../../src/task/options.js';
import { normalizeWorkerOptions } from '../../src/worker/options.js';

describe('a duration', () => {
  test.each<[Duration, number]>([
    [250, 250],
    [0, 0],
    ['30s', 30_000],
    ['10 m', 600_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['500ms', 500],
  ])('%s is %i milliseconds', (duration, expected) => {
    expect(durationMs(duration, 'delay')).toBe(expected);
  });

  test.each([[-1], [Number.NaN], [Number.POSITIVE_INFINITY], ['soon'], [''], ['-5s']])(
    '%s is refused',
    (duration) => {
      expect(() => durationMs(duration as Duration, 'delay')).toThrow(InvalidOptionError);
    },
  );

  test('that cannot be read is told with the option', () => {
    expect(() => durationMs('soon' as Duration, 'retry.delay')).toThrow(
      `Expected \`retry.delay\` to be a time in milliseconds or text such as '30s', '10m', '1h', got "soon".`,
    );
  });
});

describe('options', () => {
  test('that are not given are not set', () => {
    expect(normalizeOptions({}, 0)).toEqual({});
  });

  test('turn times into milliseconds and fill in what a retry leaves out', () => {
    expect(normalizeOptions({ countdown: '1m', retry: { attempts: 4 } }, 0)).toEqual({
      delayMs: 60_000,
      retry: { attempts: 4, backoff: 'exponential', delayMs: 1000, maxMs: 86_400_000, jitter: true },
    });
  });

  test('count an eta from now, and a past one as now', () => {
    expect(normalizeOptions({ eta: new Date(5000) }, 2000)).toEqual({ delayMs: 3000 });
    expect(normalizeOptions({ eta: new Date(1000) }, 2000)).toEqual({ delayMs: 0 });
  });

  test.each<[string, Parameters<typeof normalizeOptions>[0]]>([
    ['queue', { queue: 'a:b' }],
    ['queue', { queue: '' }],
    ['queue', { queue: 'umbel' }],
    ['headers.tenant', { headers: { tenant: 5 as unknown as string } }],
    ['headers', { headers: 'tenant' as unknown as Record<string, string> }],
    ['priority', { priority: -1 }],
    ['priority', { priority: 2 ** 21 }],
    ['countdown', { countdown: -5 }],
    ['eta', { eta: new Date(Number.NaN) }],
    ['eta', { eta: new Date(), countdown: 1 }],
    ['retry.attempts', { retry: { attempts: 1.5 } }],
    ['retry.backoff', { retry: { backoff: 'linear' as 'fixed' } }],
    ['retry.delay', { retry: { delay: -1 } }],
  ])('with a bad `%s` are refused', (option, options) => {
    expect(() => normalizeOptions(options, 0)).toThrow(
      expect.objectContaining({ name: 'InvalidOptionError', option }),
    );
  });

  test('names are letters, digits, "_", "." and "-", at most 100', () => {
    expect(checkName('name', 'a.B_c-9')).toBe('a.B_c-9');
    for (const bad of ['', 'a b', 'a:b', 'é', '{a}', 'a\n', 'a'.repeat(101)]) {
      expect(() => checkName('name', bad)).toThrow(InvalidOptionError);
    }
  });
});

describe('the handler for jobs of other programs', () => {
  const handler = () => 'done';

  test('may be given by its earlier name, and not by both', () => {
    expect(normalizeWorkerOptions({ onForeignJob: handler }, 'w').onForeignJob).toBe(handler);
    expect(normalizeWorkerOptions({ fallback: handler }, 'w').onForeignJob).toBe(handler);
    expect(normalizeWorkerOptions({}, 'w').onForeignJob).toBeUndefined();
    expect(() => normalizeWorkerOptions({ onForeignJob: handler, fallback: handler }, 'w')).toThrow(
      /Expected `fallback` to be absent when `onForeignJob` is set/,
    );
  });

  test.each(['onForeignJob', 'fallback'])('must be a function: %s', (option) => {
    expect(() => normalizeWorkerOptions({ [option]: 'no' }, 'w')).toThrow(`\`${option}\``);
  });
});
