import type { Job } from 'bullmq';
import { expect, test } from 'vitest';
import { keepsLocks } from '../../../src/store/guards/locks.js';
import { type Claim, Claims } from '../../../src/store/held-job.js';
import { passing, stubBackend } from '../../support/stub-backend.js';

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
  keepsLocks(backend, { claims, pause: async () => {}, onLost: (claim) => lost.push(claim) });
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

test('a job whose outcome was stored meanwhile is nobody’s loss', async () => {
  const backend = stubBackend({ extendLocks: async () => ['1'], takeLock: async () => false });
  const lost: Claim[] = [];
  keepsLocks(backend, { claims: new Claims(), pause: async () => {}, onLost: (claim) => lost.push(claim) });
  expect(await backend.extendLocks(['1'], ['t1'], 1000)).toEqual([]);
  expect(lost).toEqual([]);
});

test('a renewal that the store refuses is repeated until it is taken, many times within a lock', async () => {
  const left = { extendLocks: 40, takeLock: 40 };
  const waits: number[] = [];
  const refusing = (name: keyof typeof left, answer: unknown) => async () => {
    left[name] -= 1;
    if (left[name] >= 0) throw passing('OOM command not allowed when used memory > maxmemory');
    return answer;
  };
  const backend = stubBackend({
    extendLocks: refusing('extendLocks', ['1']),
    takeLock: refusing('takeLock', true),
    replaceData: async () => true,
  });
  const claims = new Claims();
  const lost: Claim[] = [];
  const pause = async (ms: number) => void waits.push(ms);
  keepsLocks(backend, { claims, pause, onLost: (claim) => lost.push(claim) });
  claims.hold(job('1'), 't1');
  expect(await backend.extendLocks(['1'], ['t1'], 1200)).toEqual([]);
  expect(lost).toEqual([]);
  expect(Math.max(...waits)).toBe(100);
});
