import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/time.js';
import type { ActiveJob, AttemptOutcome } from '../../../src/job/job.js';
import { Activity, type ActivityListener } from '../../../src/worker/activity.js';
import { during } from './during.js';

function jobOf(more: object = {}): ActiveJob {
  return {
    id: '1',
    name: 'mail',
    queue: 'default',
    attempt: 2,
    data: { umbel: 1 },
    ...more,
  } as unknown as ActiveJob; // all that is read of it
}

describe('the activity of a worker', () => {
  let now = 1000;
  const clock = { ...systemClock, now: () => now };

  test('holds an attempt while it runs', async () => {
    const activity = new Activity(clock, new Set());
    let inside: unknown;
    await during(activity, jobOf({ data: { umbel: 1, run: 'r' } }), async () => {
      inside = activity.active;
      expect(activity.activeIn('default')).toBe(1);
      expect(activity.activeIn('other')).toBe(0);
      return { kind: 'completed', value: 1 };
    });
    expect(inside).toEqual([
      { id: '1', task: 'mail', queue: 'default', runId: 'r', attempt: 2, startedAt: new Date(1000) },
    ]);
    expect(activity.active).toEqual([]);
  });

  test.each<[AttemptOutcome, string]>([
    [{ kind: 'completed', value: 1 }, 'completed'],
    [{ kind: 'failed', error: { name: 'E', message: '', stack: undefined } }, 'failed'],
    [{ kind: 'retry', delayMs: 5, error: { name: 'E', message: '', stack: undefined } }, 'retried'],
    [{ kind: 'waiting' }, 'waiting'],
    [{ kind: 'returned', delayMs: 0 }, 'returned'],
    [{ kind: 'lost' }, 'lost'],
  ])('counts %j as %s', async (outcome, end) => {
    const activity = new Activity(clock, new Set());
    await during(activity, jobOf(), async () => outcome);
    expect(activity.counts).toMatchObject({ [end]: 1 });
    expect(Object.values(activity.counts).reduce((sum, count) => sum + count)).toBe(1);
  });

  test('tells those of the app and its own who listen, with the time and the name of the error', async () => {
    const told: unknown[] = [];
    const listener = (name: string): ActivityListener => ({
      started: ({ id }) => void told.push([name, 'started', id]),
      ended: ({ id }, ended) => void told.push([name, 'ended', id, ended]),
    });
    const ofApp = new Set([listener('app')]);
    const activity = new Activity(clock, ofApp);
    const stop = activity.listen(listener('own'));
    now = 2000;
    await during(activity, jobOf(), async () => {
      now = 2250;
      return { kind: 'retry', delayMs: 1, error: { name: 'TypeError', message: 'x', stack: undefined } };
    });
    const ended = { end: 'retried', durationMs: 250, error: 'TypeError', message: 'x' };
    expect(told).toEqual([
      ['app', 'started', '1'],
      ['own', 'started', '1'],
      ['app', 'ended', '1', ended],
      ['own', 'ended', '1', ended],
    ]);
    stop();
    ofApp.clear();
    await during(activity, jobOf(), async () => ({ kind: 'lost' }));
    expect(told).toHaveLength(4);
  });

  test('leaves out the jobs that stand between tasks', async () => {
    const activity = new Activity(clock, new Set());
    await during(activity, jobOf({ queue: 'umbel' }), async () => {
      expect(activity.active).toEqual([]);
      return { kind: 'completed', value: 1 };
    });
    expect(activity.counts.completed).toBe(0);
  });

  test('is told that an attempt has ended also if its outcome is an error', async () => {
    const activity = new Activity(clock, new Set());
    const failing = during(activity, jobOf(), async () => {
      throw new Error('broken');
    });
    await expect(failing).rejects.toThrow('broken');
    expect(activity.active).toEqual([]);
    expect(activity.counts.failed).toBe(1);
  });
});
