import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.js';
import { isSuspicious, lostStarts, Probation } from '../../src/running/lost-starts.js';

const NOW = 1_000_000_000;

test('a job that the store has put back has lost a start', () => {
  expect(lostStarts(undefined, 1, NOW)).toEqual({ seen: 1, at: [NOW] });
  expect(lostStarts({ seen: 1, at: [NOW - 5] }, 2, NOW)).toEqual({ seen: 2, at: [NOW - 5, NOW] });
});

test('a start that had an outcome clears the losses before it', () => {
  expect(lostStarts({ seen: 2, at: [NOW - 9, NOW - 5] }, 2, NOW)).toEqual({ seen: 2, at: [] });
});

test('a job that was put back before it was started again has lost no further start', () => {
  // It was put back twice since its last start: once as it ran, once while it only waited for its turn.
  expect(lostStarts({ seen: 1, at: [NOW - 5] }, 3, NOW).at).toHaveLength(2);
});

test('losses of more than ten minutes ago are forgotten', () => {
  expect(lostStarts({ seen: 2, at: [NOW - 600_000, NOW - 599_999] }, 3, NOW).at).toEqual([
    NOW - 599_999,
    NOW,
  ]);
});

test('a job is suspicious from the second loss on', () => {
  expect(isSuspicious({ seen: 1, at: [NOW] })).toBe(false);
  expect(isSuspicious({ seen: 2, at: [NOW, NOW] })).toBe(true);
});

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('one suspicious job runs at a time, until it ends or has run for two seconds', () => {
  const probation = new Probation(systemClock);
  const leave = probation.enter();
  expect(probation.enter()).toBeUndefined();
  leave?.();
  const second = probation.enter();
  expect(second).toBeDefined();
  vi.advanceTimersByTime(1999);
  expect(probation.enter()).toBeUndefined();
  vi.advanceTimersByTime(1);
  expect(probation.enter()).toBeDefined();
  second?.(); // its end does not free the place of the one after it
  expect(probation.enter()).toBeUndefined();
});
