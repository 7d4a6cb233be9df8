import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openKit, take } from '../../support/memory-kit.js';

test('only the token that took a job can finish it', async () => {
  const kit = openKit();
  await kit.queue().add('job', {});
  const job = await take(kit.hand(), 'mine');
  await expect(job.moveToCompleted(1, 'yours', false)).rejects.toMatchObject({ code: -6 });
  await job.moveToCompleted(1, 'mine', false);
  await expect(job.moveToCompleted(1, 'mine', false)).rejects.toMatchObject({ code: -2 });
});

test('a lock can be extended by its token only', async () => {
  const kit = openKit();
  await kit.queue().add('job', {});
  const job = await take(kit.hand(), 'mine');
  expect(await job.extendLock('yours', 1000)).toBe(0);
  expect(await job.extendLock('mine', 1000)).toBe(1);
  expect(await kit.hand().extendJobLocks(['1', '2'], ['mine', 'mine'], 1000)).toEqual(['2']);
});

test('a job whose lock ran out waits again, and is failed after too many times', async () => {
  const kit = openKit();
  const queue = kit.queue();
  const hand = kit.hand({ lockDuration: 1, stalledInterval: 1, maxStalledCount: 1 });
  const backend = hand.getBackend();
  const stall = async () => {
    await backend.moveStalledJobsToWait();
    await sleep(5);
    return backend.moveStalledJobsToWait();
  };
  const { id } = await queue.add('job', {});
  await take(hand);
  expect(await stall()).toEqual([id]);
  expect(await take(hand)).toMatchObject({ stalledCounter: 1, attemptsStarted: 2 });
  await sleep(5);
  expect(await stall()).toEqual([id]);
  expect((await take(hand)).deferredFailure).toBe('job stalled more than allowable limit');
});

test('a running worker renews its locks, so that its jobs do not stall', async () => {
  const kit = openKit();
  const events = kit.events();
  const queue = kit.queue();
  const worker = kit.worker(async () => sleep(900, 'done'), { lockDuration: 400, stalledInterval: 200 });
  const stalled: unknown[] = [];
  worker.on('stalled', (id) => stalled.push(id));
  const job = await queue.add('slow', {});
  expect(await job.waitUntilFinished(events)).toBe('done');
  expect(stalled).toEqual([]);
});

test('faking the process time stops neither the store nor the locks it holds', async () => {
  const kit = openKit();
  const [queue, hand] = [kit.queue(), kit.hand({ lockDuration: 30_000 })];
  vi.useFakeTimers();
  onTestFinished(() => {
    vi.useRealTimers();
  });
  await queue.add('job', {});
  const job = await take(hand);
  vi.setSystemTime(Date.now() + 3_600_000);
  await job.moveToCompleted(1, 'token', false);
  expect(await job.getState()).toBe('completed');
});
