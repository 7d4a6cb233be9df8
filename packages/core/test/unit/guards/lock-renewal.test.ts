import type { Job } from 'bullmq';
import { expect, test } from 'vitest';
import { type Claim, Claims } from '../../../src/bullmq/claims.js';
import { keepsLocks } from '../../../src/bullmq/guards/lock-renewal.js';
import { stubBackend } from '../../support/stub-backend.js';

const job = (id: string) => ({ id, attemptsStarted: 1 }) as Job;

/** What becomes of a lock of job 1 that cannot be renewed, if the job is free or not. */
async function renewal(isFree: boolean) {
  const backend = stubBackend({
    extendLocks: async () => ['1'],
    takeLock: async () => isFree,
    replaceData: async () => true,
  });
  const claims = new Claims();
  const lost: Claim[] = [];
  keepsLocks(backend, { claims, onLost: (claim) => lost.push(claim) });
  const renew = () => backend.extendLocks(['1', '2'], ['t1', 't2'], 1000);
  claims.hold(job('1'), 't1');
  claims.hold(job('2'), 't2');
  const answer = await renew();
  return { answer, lost: lost.map(({ id }) => id) };
}

test('a lock that ran out while nobody took the job is taken again', async () => {
  expect(await renewal(true)).toEqual({ answer: [], lost: [] });
});

test('a job that is another worker’s is given up', async () => {
  expect(await renewal(false)).toEqual({ answer: ['1'], lost: ['1'] });
});
