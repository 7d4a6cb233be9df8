import { expect, test } from 'vitest';
import { memory } from '../../../src/memory/index.js';
import { ManualClock, once, openKit, take } from '../../support/memory-kit.js';

test('a rate limit holds jobs back until its window ends by the clock of the store', async () => {
  const clock = new ManualClock();
  const kit = openKit(memory({ clock }));
  const queue = kit.queue();
  const worker = kit.worker(async () => {}, { limiter: { max: 1, duration: 60_000 } });
  const drained = once(worker, 'drained');
  await queue.addBulk([
    { name: 'one', data: {} },
    { name: 'two', data: {} },
  ]);
  await drained;
  expect(await queue.getCompletedCount()).toBe(1);
  expect(await queue.getRateLimitTtl(1)).toBe(60_000);
  const completed = once(worker, 'completed');
  clock.advance(60_000);
  await completed;
  expect(await queue.getCompletedCount()).toBe(2);
});

test('the limit of active jobs of a queue counts over all workers', async () => {
  const kit = openKit();
  const queue = kit.queue();
  await queue.setGlobalConcurrency(1);
  await queue.addBulk([
    { name: 'one', data: {} },
    { name: 'two', data: {} },
  ]);
  const job = await take(kit.hand(), 'a');
  expect(await kit.hand().getNextJob('b', { block: false })).toBeUndefined();
  expect(await queue.isMaxed()).toBe(true);
  const waiting = kit.hand().getBackend().waitForJob(60);
  await job.moveToCompleted(1, 'a', false);
  expect(await waiting).not.toBeNull();
});

test('a queue that is limited by hand can be freed by hand', async () => {
  const kit = openKit();
  const queue = kit.queue();
  await queue.setGlobalRateLimit(5, 1000);
  await queue.rateLimit(60_000);
  await queue.add('job', {});
  expect(await kit.hand().getNextJob('token', { block: false })).toBeUndefined();
  expect(await queue.removeRateLimitKey()).toBe(1);
  expect(await take(kit.hand())).toMatchObject({ name: 'job' });
});
