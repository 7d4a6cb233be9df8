import { expect, test } from 'vitest';
import { systemClock } from '../../../src/base/time.js';
import type { ActiveAttempt } from '../../../src/control/answers.js';
import type { ActiveJob, AttemptOutcome } from '../../../src/job/job.js';
import { Activity, type EndedAttempt } from '../../../src/worker/activity.js';
import { during } from './during.js';

const NOW = 1_893_456_000_000;
const COMPLETED: AttemptOutcome = { kind: 'completed', value: 1 };
const ERROR = { name: 'TypeError', message: 'no', stack: undefined };

/** What a listener is told of an attempt at such a job. */
async function told(job: Partial<ActiveJob>, outcome: AttemptOutcome = COMPLETED) {
  const attempts: ActiveAttempt[] = [];
  const ends: EndedAttempt[] = [];
  const listener = {
    started: (attempt: ActiveAttempt) => void attempts.push(attempt),
    ended: (_: ActiveAttempt, end: EndedAttempt) => void ends.push(end),
  };
  const activity = new Activity({ ...systemClock, now: () => NOW }, new Set([listener]));
  const sent = {
    id: '1',
    name: 'task',
    queue: 'q',
    attempt: 1,
    starts: 1,
    delayMs: 0,
    enqueuedAt: NOW,
    data: {},
  };
  await during(activity, { ...sent, ...job } as ActiveJob, async () => outcome); // all that is read of it
  return { attempt: attempts[0], end: ends[0] };
}

const waited = async (job: Partial<ActiveJob>) => (await told(job)).attempt?.waitedMs;

test('a job has waited since it was sent and its delay was over', async () => {
  expect(await waited({ enqueuedAt: NOW - 500 })).toBe(500);
  expect(await waited({ enqueuedAt: NOW - 500, delayMs: 400 })).toBe(100);
  expect(await waited({ enqueuedAt: NOW + 5 })).toBe(0); // a clock of another machine
});

test('how long is not known of retries, of jobs that were put back, and of steps that waited for others', async () => {
  expect(await waited({ attempt: 2, starts: 2 })).toBeUndefined();
  expect(await waited({ starts: 2 })).toBeUndefined();
  expect(await waited({ data: { after: { step: '0-0' } } })).toBeUndefined();
  expect(await waited({ data: 'broken' })).toBeUndefined();
});

test('a failure of an earlier job is told from one of its own', async () => {
  expect((await told({}, { kind: 'failed', error: ERROR })).end).toEqual({
    end: 'failed',
    durationMs: 0,
    error: 'TypeError',
    message: 'no',
  });
  expect((await told({}, { kind: 'failed', error: ERROR, isUpstream: true })).end).toEqual({
    end: 'failed',
    durationMs: 0,
    error: 'TypeError',
    message: 'no',
    isUpstream: true,
  });
});
