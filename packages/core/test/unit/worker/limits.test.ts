import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/base/time.js';
import type { ActiveJob, AttemptOutcome } from '../../../src/job/job.js';
import { Activity, watchLimits } from '../../../src/worker/activity.js';
import { during } from './during.js';

const job = {
  id: '1',
  name: 'task',
  queue: 'default',
  attempt: 1,
  data: { umbel: 1 },
} as unknown as ActiveJob; // all that is read of it
const done: AttemptOutcome = { kind: 'completed', value: 1 };

describe('the limits of a worker', () => {
  const reached: string[] = [];
  const onReached = (reason: string, words: string) => void reached.push(`${reason}: ${words}`);
  let activity: Activity;

  beforeEach(() => {
    vi.useFakeTimers();
    reached.length = 0;
    activity = new Activity(systemClock, new Set());
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test('are told once, when so many attempts have ended', async () => {
    watchLimits(activity, { maxJobs: 2, maxMemoryBytes: undefined, onReached });
    await during(activity, job, async () => done);
    expect(reached).toEqual([]);
    await during(activity, job, async () => done);
    await during(activity, job, async () => done);
    expect(reached).toEqual(['max-jobs: it has run 2 attempts']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('are told when an attempt leaves more memory in use', async () => {
    let bytes = 100 * 2 ** 20;
    watchLimits(activity, {
      maxJobs: undefined,
      maxMemoryBytes: 200 * 2 ** 20,
      onReached,
      residentBytes: () => bytes,
    });
    await during(activity, job, async () => done);
    bytes = 201 * 2 ** 20;
    await during(activity, job, async () => done);
    expect(reached).toEqual(['max-memory: its process uses 201 MB, more than 200 MB']);
  });

  test('are told while nothing ends, too', () => {
    let bytes = 1;
    watchLimits(activity, { maxJobs: undefined, maxMemoryBytes: 2, onReached, residentBytes: () => bytes });
    vi.advanceTimersByTime(20_000);
    expect(reached).toEqual([]);
    bytes = 3;
    vi.advanceTimersByTime(5_000);
    expect(reached).toHaveLength(1);
  });

  test('are not looked at after the watch was stopped, and without any there is no timer', async () => {
    watchLimits(activity, { maxJobs: undefined, maxMemoryBytes: undefined, onReached });
    expect(vi.getTimerCount()).toBe(0);
    const stop = watchLimits(activity, { maxJobs: 1, maxMemoryBytes: undefined, onReached });
    stop();
    await during(activity, job, async () => done);
    expect(reached).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
