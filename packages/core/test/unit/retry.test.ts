import { UnrecoverableError, ValidationError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { LostJobError } from '../../src/base/errors.js';
import { SkippedError } from '../../src/base/failures.js';
import { retryOf, toJobOptions } from '../../src/store/job-options.js';
import { readOptions } from '../../src/task/option-checks.js';
import { normalizeRetry, RetryRequest, type RetryState, retryDelayMs } from '../../src/task/retry.js';

const state = (given: Partial<RetryState> & { attempt: number }): RetryState => ({
  options: normalizeRetry({ attempts: 100, delay: '1s', max: '1m', jitter: false }),
  decisions: {},
  random: () => 0.5,
  ...given,
});

const error = new Error('down');

describe('the wait before another attempt', () => {
  test('doubles up to the cap', () => {
    const waits = [1, 2, 3, 6, 7, 8, 99].map((attempt) => retryDelayMs(error, state({ attempt })));
    expect(waits).toEqual([1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000]);
  });

  test('is always the same when it is fixed, and at most the cap', () => {
    const options = normalizeRetry({ attempts: 9, backoff: 'fixed', delay: '2m', max: '1m', jitter: false });
    expect(retryDelayMs(error, state({ attempt: 1, options }))).toBe(60_000);
  });

  test('is spread from nothing to its full length, by default', () => {
    const options = normalizeRetry({ attempts: 9, delay: 1000 });
    const wait = (random: number) =>
      retryDelayMs(error, state({ attempt: 2, options, random: () => random }));
    expect([wait(0), wait(0.25), wait(1)]).toEqual([0, 500, 2000]);
  });

  test('is spread over its second half, with equal jitter', () => {
    const options = normalizeRetry({ attempts: 9, delay: 1000, jitter: 'equal' });
    const wait = (random: number) =>
      retryDelayMs(error, state({ attempt: 2, options, random: () => random }));
    expect([wait(0), wait(0.25), wait(1)]).toEqual([1000, 1250, 2000]);
    const full = normalizeRetry({ attempts: 9, delay: 1000, jitter: 'full' });
    expect(full).toEqual(normalizeRetry({ attempts: 9, delay: 1000 }));
    expect(() => normalizeRetry({ jitter: 'some' as never })).toThrow('`retry.jitter`');
  });

  test.each([true, false, 'full', 'equal'] as const)('is stored with its jitter: %s', (jitter) => {
    const retry = normalizeRetry({ attempts: 2, jitter });
    const stored = JSON.parse(JSON.stringify(toJobOptions({ retry })));
    expect(retryOf(stored)).toEqual(retry);
    expect(readOptions({ retry })).toEqual({ retry });
  });

  test('is there as long as there are attempts', () => {
    const options = normalizeRetry({ attempts: 3, delay: 5, jitter: false });
    expect([2, 3, 4].map((attempt) => retryDelayMs(error, state({ attempt, options })))).toEqual([
      10,
      undefined,
      undefined,
    ]);
    expect(retryDelayMs(error, state({ attempt: 1, options: undefined }))).toBeUndefined();
  });

  test('is not there for errors that another attempt cannot mend', () => {
    const bullmq = Object.assign(new Error('no'), { name: 'UnrecoverableError' });
    const ours = [new ValidationError('t', 'input', []), new UnrecoverableError('no'), new LostJobError('1')];
    for (const final of [...ours, new SkippedError('no'), bullmq]) {
      expect(retryDelayMs(final, state({ attempt: 1 }))).toBeUndefined();
    }
  });

  test('is what the handler asked for, counted as an attempt; four in all where no retry is set', () => {
    const asked = new RetryRequest('later', 77);
    expect(retryDelayMs(asked, state({ attempt: 1 }))).toBe(77);
    expect(retryDelayMs(new RetryRequest(undefined, undefined), state({ attempt: 2 }))).toBe(2000);
    const waits = [1, 3, 4].map((attempt) => retryDelayMs(asked, state({ attempt, options: undefined })));
    expect(waits).toEqual([77, 77, undefined]);
  });

  test('that a function gives must be a time', () => {
    const backoff = () => 'soon' as never;
    const options = normalizeRetry({ attempts: 2, backoff });
    expect(() => retryDelayMs(error, state({ attempt: 1, options, decisions: { backoff } }))).toThrow(
      'Expected `retry.backoff`',
    );
  });
});

describe('retry options', () => {
  test.each([
    [{ attempts: 0 }, 'retry.attempts'],
    [{ attempts: 1.5 }, 'retry.attempts'],
    [{ backoff: 'quick' as never }, 'retry.backoff'],
    [{ delay: -1 }, 'retry.delay'],
    [{ max: 'x' as never }, 'retry.max'],
    [{ on: true as never }, 'retry.on'],
  ])('%j are refused', (options, named) => {
    expect(() => normalizeRetry(options)).toThrow(`Expected \`${named}\``);
  });
});
