import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.js';
import { begun, isSuspicious, lostStarts, Probation } from '../../src/running/lost-starts.js';

const NOW = 1_000_000_000;

/** Of a job whose handler was called at its start of this number, after so many stalls. */
const known = (at: number[], start: number, stalls: number) => begun({ at }, { starts: start, stalls });

test('a job that the store has put back has lost a start', () => {
  expect(lostStarts(undefined, { stalls: 1, starts: 2 }, NOW)).toEqual({ at: [NOW] });
  expect(lostStarts(known([NOW - 5], 2, 1), { stalls: 2, starts: 3 }, NOW)).toEqual({ at: [NOW - 5, NOW] });
});

test('a start that had an outcome clears the losses before it', () => {
  expect(lostStarts(known([NOW - 9, NOW - 5], 3, 2), { stalls: 2, starts: 4 }, NOW)).toEqual({ at: [] });
});

test('a job that was handed out in vain since its handler was last called has lost no further start', () => {
  expect(lostStarts(known([NOW - 5], 2, 1), { stalls: 2, starts: 4 }, NOW)).toEqual({ at: [NOW - 5] });
});

test('a job that had to wait for its turn keeps its losses, and has no further one', () => {
  expect(lostStarts({ at: [NOW - 9, NOW - 5] }, { stalls: 2, starts: 4 }, NOW)).toEqual({
    at: [NOW - 9, NOW - 5],
  });
});

test('losses of more than ten minutes ago are forgotten', () => {
  const stored = known([NOW - 600_000, NOW - 599_999], 3, 2);
  expect(lostStarts(stored, { stalls: 3, starts: 4 }, NOW)).toEqual({ at: [NOW - 599_999, NOW] });
});

test('a job is suspicious from the second loss on', () => {
  expect(isSuspicious({ at: [NOW] })).toBe(false);
  expect(isSuspicious({ at: [NOW, NOW] })).toBe(true);
});

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('one suspicious job runs at a time, until it ends or has run for half a minute', () => {
  const probation = new Probation(systemClock);
  const leave = probation.enter();
  expect(probation.enter()).toBeUndefined();
  leave?.();
  const second = probation.enter();
  expect(second).toBeDefined();
  vi.advanceTimersByTime(29_999);
  expect(probation.enter()).toBeUndefined();
  vi.advanceTimersByTime(1);
  expect(probation.enter()).toBeDefined();
  second?.(); // its end does not free the place of the one after it
  expect(probation.enter()).toBeUndefined();
});
