import type { Job } from 'bullmq';
import { expect, test } from 'vitest';
import { Claims, HeldJob } from '../../src/store/held-job.js';
import { stubBackend } from '../support/stub-backend.js';

const bull = (id: string, starts = 1) => ({ id, attemptsStarted: starts, data: {} }) as Job;
const claimed = (job: Job, claims: Claims, token: string) =>
  new HeldJob(job, claims.find(job.id ?? '', token), {
    backend: stubBackend({}),
    repeat: (_job, command) => command(),
  });

test('a claim lasts from the moment a job is handed out until its outcome is stored', () => {
  const claims = new Claims();
  const claim = claims.hold(bull('a', 3), 'token');
  expect(claims.find('a', 'token')).toMatchObject({ id: 'a', token: 'token', starts: 3 });
  expect(claims.find('a', 'other')).toBeUndefined();
  claims.release(claim);
  expect(claims.of('a')).toEqual([]);
});

test('a job that was lost and is held again has a claim for each', () => {
  const claims = new Claims();
  const earlier = claims.hold(bull('a', 1), 'first');
  const later = claims.hold(bull('a', 2), 'second');
  const other = claims.hold(bull('b'), 'first');
  expect(claims.of('a')).toEqual([earlier, later]);
  expect(claims.find('a', 'second')).toBe(later);
  claims.release(earlier);
  expect(claims.of('a')).toEqual([later]);
  expect(claims.of('b')).toEqual([other]);
});

test('what waits for the outcome of a job to be stored is told then, and not before', async () => {
  const claims = new Claims();
  const job = bull('a');
  const told: string[] = [];
  const claim = claims.hold(job, 'token');
  claimed(job, claims, 'token').onceStored(() => told.push('stored'));
  await Promise.resolve();
  told.push('committing');
  claims.release(claim);
  expect(told).toEqual(['committing', 'stored']);
});

test('a job that was given up before anybody listened is given up for whoever listens later', () => {
  const job = claimed(bull('a'), new Claims(), 'token');
  const reason = new Error('revoked');
  job.giveUp(reason);
  const told: Error[] = [];
  job.onGiveUp((error) => told.push(error));
  expect(told).toEqual([reason]);
  expect(job.signal.reason).toBe(reason);
});

test.each([20_000, 100_000])('a job that %i listeners are told of is given up', (count) => {
  const job = claimed(bull('a'), new Claims(), 'token');
  const told = new Set<number>();
  for (let n = 0; n < count; n += 1) job.onGiveUp(() => told.add(n));
  job.giveUp(new Error('revoked'));
  expect(told.size).toBe(count);
});

test('whoever has ended is not told of a give-up', () => {
  const job = claimed(bull('a'), new Claims(), 'token');
  const told: string[] = [];
  const first = () => void told.push('first');
  const second = () => void told.push('second');
  job.onGiveUp(first);
  job.onGiveUp(second);
  job.offGiveUp(first);
  job.offGiveUp(first);
  job.giveUp(new Error('revoked'));
  expect(told).toEqual(['second']);
});
