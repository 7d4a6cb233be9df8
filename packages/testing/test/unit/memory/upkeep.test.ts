import { expect, test } from 'vitest';
import { memory } from '../../../src/memory/index.js';
import { ManualClock, openKit, take } from '../../support/memory-kit.js';

async function finishAll(hand: Parameters<typeof take>[0], count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) await (await take(hand)).moveToCompleted(at, 'token', false);
}

test('removeOnComplete keeps the newest jobs of its count', async () => {
  const kit = openKit();
  const queue = kit.queue();
  await queue.addBulk(['a', 'b', 'c'].map((name) => ({ name, data: {}, opts: { removeOnComplete: 2 } })));
  await finishAll(kit.hand(), 3);
  expect((await queue.getCompleted()).map((job) => job.name).sort()).toEqual(['b', 'c']);
});

test('removeOnComplete removes jobs older than its age', async () => {
  const clock = new ManualClock();
  const kit = openKit(memory({ clock }));
  const [queue, hand] = [kit.queue(), kit.hand()];
  const opts = { removeOnComplete: { age: 60 } };
  await queue.add('old', {}, opts);
  await finishAll(hand, 1);
  clock.advance(61_000);
  await queue.add('new', {}, opts);
  await finishAll(hand, 1);
  expect((await queue.getCompleted()).map((job) => job.name)).toEqual(['new']);
});

test('drain leaves delayed jobs alone unless told otherwise', async () => {
  const queue = openKit().queue();
  await queue.add('waiting', {});
  await queue.add('urgent', {}, { priority: 1 });
  await queue.add('delayed', {}, { delay: 60_000 });
  await queue.drain();
  expect(await queue.getJobCounts('waiting', 'prioritized', 'delayed')).toEqual({
    waiting: 0,
    prioritized: 0,
    delayed: 1,
  });
  await queue.drain(true);
  expect(await queue.getDelayedCount()).toBe(0);
});

test('clean removes no more jobs than its limit, the oldest first', async () => {
  const kit = openKit();
  const queue = kit.queue();
  const jobs = await queue.addBulk(['a', 'b', 'c'].map((name) => ({ name, data: {} })));
  expect(await queue.clean(-1, 2, 'wait')).toHaveLength(2);
  expect(await jobs[2]?.getState()).toBe('waiting');
});

test('obliterate refuses a queue with active jobs and empties it by force', async () => {
  const kit = openKit();
  const queue = kit.queue();
  await queue.addBulk([
    { name: 'one', data: {} },
    { name: 'two', data: {} },
  ]);
  await take(kit.hand());
  await expect(queue.obliterate()).rejects.toThrow('Cannot obliterate queue with active jobs');
  await queue.obliterate({ force: true });
  expect(Object.values(await queue.getJobCounts()).every((count) => count === 0)).toBe(true);
  expect((await queue.add('again', {})).id).toBe('1');
});

test('retryJobs puts back all failed jobs and clears how they failed', async () => {
  const kit = openKit();
  const queue = kit.queue();
  await queue.add('job', {});
  await (await take(kit.hand())).moveToFailed(new Error('broken'), 'token', false);
  await queue.retryJobs({ state: 'failed' });
  const [job] = await queue.getWaiting();
  expect(job).toMatchObject({ attemptsMade: 1 });
  expect([job?.failedReason, job?.finishedOn]).toEqual([undefined, undefined]);
});

test('nothing is an orphan in a store that only BullMQ writes', async () => {
  const queue = openKit().queue();
  await queue.add('job', {});
  expect(await queue.removeOrphanedJobs()).toBe(0);
  expect(await queue.count()).toBe(1);
});

test('metrics count finished jobs per minute', async () => {
  const clock = new ManualClock();
  const kit = openKit(memory({ clock }));
  const [queue, hand] = [kit.queue(), kit.hand({ metrics: { maxDataPoints: 10 } })];
  for (const pause of [0, 0, 60_000, 120_000]) {
    clock.advance(pause);
    await queue.add('job', {});
    await finishAll(hand, 1);
  }
  expect(await queue.getMetrics('completed')).toMatchObject({
    count: 3,
    data: [0, 1, 2],
    meta: { count: 4 },
  });
});

test('a log keeps the last rows asked for', async () => {
  const queue = openKit().queue();
  const job = await queue.add('job', {}, { keepLogs: 2 });
  for (const row of ['a', 'b', 'c']) await job.log(row);
  expect(await queue.getJobLogs(String(job.id))).toEqual({ logs: ['b', 'c'], count: 2 });
  await expect(queue.addJobLog('nobody', 'x')).rejects.toMatchObject({ code: -1 });
});
