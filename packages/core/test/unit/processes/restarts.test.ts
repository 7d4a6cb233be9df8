import { describe, expect, test } from 'vitest';
import { afterEnd, restartDelayMs } from '../../../src/worker/supervisor/slot.js';

test('the wait doubles from one failure to the next: 0, 1 s, 2 s … 30 s', () => {
  const delays = Array.from({ length: 9 }, (_, index) => restartDelayMs(index + 1));
  expect(delays).toEqual([0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  expect(restartDelayMs(10_000)).toBe(30_000);
});

describe('a process that has ended', () => {
  const usual = { isStarting: false, isWatching: false };
  const soon = { ranMs: 500, reason: undefined, failures: 0 };

  test('is replaced, after a longer wait each time', () => {
    expect(afterEnd(soon, usual)).toEqual({ kind: 'restart', delayMs: 0, failures: 1 });
    expect(afterEnd({ ...soon, failures: 1 }, usual)).toEqual({
      kind: 'restart',
      delayMs: 1000,
      failures: 2,
    });
    expect(afterEnd({ ...soon, failures: 2 }, usual)).toEqual({
      kind: 'restart',
      delayMs: 2000,
      failures: 3,
    });
  });

  test('is replaced at once if it ran for a minute', () => {
    const long = { ...soon, failures: 5 };
    expect(afterEnd({ ...long, ranMs: 59_999 }, usual)).toMatchObject({ delayMs: 16_000 });
    expect(afterEnd({ ...long, ranMs: 60_000 }, usual)).toEqual({ kind: 'restart', delayMs: 0, failures: 1 });
  });

  test('is replaced at once, however soon, when it has run its jobs', () => {
    expect(afterEnd({ ranMs: 1, reason: 'max-jobs', failures: 4 }, usual)).toEqual({
      kind: 'restart',
      delayMs: 0,
      failures: 0,
    });
  });

  test('is replaced a moment later after a signal, which may end the whole worker', () => {
    expect(afterEnd({ ranMs: 1, reason: 'signal', failures: 4 }, usual)).toEqual({
      kind: 'restart',
      delayMs: 200,
      failures: 0,
    });
  });

  test('is replaced after waits if it soon takes too much memory each time', () => {
    const big = { ranMs: 100, reason: 'max-memory', failures: 3 } as const;
    expect(afterEnd(big, usual)).toEqual({ kind: 'restart', delayMs: 4000, failures: 4 });
    expect(afterEnd({ ...big, ranMs: 100_000 }, usual)).toMatchObject({ delayMs: 0 });
  });

  test('before it took jobs fails the start of the worker, and later is replaced', () => {
    const never = { ...soon, ranMs: undefined };
    expect(afterEnd(never, { ...usual, isStarting: true })).toEqual({ kind: 'fail-start' });
    expect(afterEnd(soon, { ...usual, isStarting: true })).toMatchObject({ kind: 'restart' });
    expect(afterEnd({ ...never, failures: 1 }, usual)).toEqual({
      kind: 'restart',
      delayMs: 1000,
      failures: 2,
    });
  });

  test('before it took jobs waits for a change if files are watched', () => {
    const never = { ...soon, ranMs: undefined };
    for (const isStarting of [true, false])
      expect(afterEnd(never, { isStarting, isWatching: true })).toEqual({ kind: 'wait-for-change' });
    expect(afterEnd(soon, { ...usual, isWatching: true })).toMatchObject({ kind: 'restart' });
  });
});
