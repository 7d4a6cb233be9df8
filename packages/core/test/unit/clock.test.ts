import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/base/time.js';

describe('a timer of the system clock', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const DAY = 86_400_000;

  test('waits for longer than Node can by itself', () => {
    const run = vi.fn();
    systemClock.setTimeout(run, 60 * DAY);
    vi.advanceTimersByTime(60 * DAY - 1);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledTimes(1);
  });

  test('can be cleared at any stage', () => {
    const run = vi.fn();
    const timer = systemClock.setTimeout(run, 60 * DAY);
    vi.advanceTimersByTime(30 * DAY);
    systemClock.clearTimeout(timer);
    vi.advanceTimersByTime(60 * DAY);
    expect(run).not.toHaveBeenCalled();
  });
});
