import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.js';
import { isSuspicious, lostStarts, Probation } from '../../src/running/lost-starts.js';

const NOW = 1_000_000_000;

test('a job that the store has put back has lost a start', () => {
  expect(lostStarts(undefined, { stalls: 1, starts: 2 }, NOW)).toEqual({ seen: 1, begun: 2, at: [NOW] });
  const once = { seen: 1, begun: 2, at: [NOW - 5] };
  expect(lostStarts(once, { stalls: 2, starts: 3 }, NOW)).toEqual({ seen: 2, begun: 3, at: [NOW - 5, NOW] });
});

test('a start that had an outcome clears the losses before it', () => {
  const twice = { seen: 2, begun: 3, at: [NOW - 9, NOW - 5] };
  expect(lostStarts(twice, { stalls: 2, starts: 4 }, NOW).at).toEqual([]);
});

test('a job that was handed out in vain since its handler was last called has lost no further start', () => {
  const once = { seen: 1, begun: 2, at: [NOW - 5] };
  expect(lostStarts(once, { stalls: 2, starts: 4 }, NOW).at).toEqual([NOW - 5]);
});

test('losses of more than ten minutes ago are forgotten', () => {
  const twice = { seen: 2, begun: 3, at: [NOW - 600_000, NOW - 599_999] };
  expect(lostStarts(twice, { stalls: 3, starts: 4 }, NOW).at).toEqual([NOW - 599_999, NOW]);
});

test('a job is suspicious from the second loss on', () => {
  expect(isSuspicious({ seen: 1, begun: 2, at: [NOW] })).toBe(false);
  expect(isSuspicious({ seen: 2, begun: 3, at: [NOW, NOW] })).toBe(true);
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
