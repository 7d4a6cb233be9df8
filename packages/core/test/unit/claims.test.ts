import type { Job } from 'bullmq';
import { expect, test } from 'vitest';
import { ClaimedJob } from '../../src/bullmq/claimed-job.js';
import { Claims } from '../../src/bullmq/claims.js';
import { stubBackend } from '../support/stub-backend.js';

const bull = (id: string, starts = 1) => ({ id, attemptsStarted: starts, data: {} }) as Job;
const claimed = (job: Job, claims: Claims, token: string) =>
  new ClaimedJob(job, {
    backend: stubBackend({}),
    claim: claims.find(job.id ?? '', token),
    repeat: (command) => command(),
  });

test('a claim lasts from the moment a job is handed out until its outcome is stored', async () => {
  const claims = new Claims();
  const job = bull('a', 3);
  await claims.during(job, 'token', async () => {
    expect(claims.find('a', 'token')).toMatchObject({ id: 'a', token: 'token', starts: 3 });
    expect(claims.find('a', 'other')).toBeUndefined();
  });
  expect(claims.of('a')).toEqual([]);
  await expect(
    claims.during(job, 'token', async () => {
      throw new Error('broken');
    }),
  ).rejects.toThrow('broken');
  expect(claims.of('a')).toEqual([]);
});

test('what waits for the outcome of a job to be stored is told then, and not before', async () => {
  const claims = new Claims();
  const job = bull('a');
  const told: string[] = [];
  await claims.during(job, 'token', async () => {
    claimed(job, claims, 'token').onceStored(() => told.push('stored'));
    await Promise.resolve();
    told.push('committing');
  });
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
