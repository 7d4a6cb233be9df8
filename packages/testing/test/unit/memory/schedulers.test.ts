import { expect, test } from 'vitest';
import { memory } from '../../../src/memory/index.js';
import { ManualClock, openKit, take } from '../../support/memory-kit.js';

const MINUTE = 60_000;

test('a repeated job runs at once and then at each interval of the clock of the store', async () => {
  const clock = new ManualClock();
  const kit = openKit(memory({ clock }));
  const [queue, hand] = [kit.queue(), kit.hand()];
  await queue.upsertJobScheduler('tick', { every: MINUTE }, { name: 'tick', data: { n: 1 } });
  const started = [];
  for (let round = 0; round < 3; round += 1) {
    const job = await take(hand);
    started.push(job.timestamp);
    await job.moveToCompleted(round, 'token', false);
    expect(await hand.getNextJob('token', { block: false })).toBeUndefined();
    clock.advance(MINUTE);
  }
  expect(await queue.getJobScheduler('tick')).toMatchObject({
    every: MINUTE,
    iterationCount: 4,
    name: 'tick',
  });
  expect(started[0]).toBe(clock.now() - 3 * MINUTE);
});

test('a pattern is read by the clock of the store', async () => {
  const clock = new ManualClock(Date.UTC(2031, 4, 1, 11, 59, 30));
  const queue = openKit(memory({ clock })).queue();
  await queue.upsertJobScheduler('noon', { pattern: '0 0 12 * * *', tz: 'UTC' });
  expect((await queue.getJobScheduler('noon'))?.next).toBe(Date.UTC(2031, 4, 1, 12));
  expect((await queue.getDelayed())[0]?.delay).toBe(30_000);
});

test('the next job of a scheduler cannot be removed, but the scheduler can', async () => {
  const queue = openKit().queue();
  await queue.upsertJobScheduler('tick', { every: MINUTE, startDate: Date.now() + MINUTE }, { name: 'tick' });
  const [job] = await queue.getDelayed();
  await expect(job?.remove()).rejects.toMatchObject({ code: -8 });
  expect(await queue.removeJobScheduler('tick')).toBe(true);
  expect(await queue.removeJobScheduler('tick')).toBe(false);
  expect(await queue.getDelayedCount()).toBe(0);
});

test('changing a scheduler replaces its next job', async () => {
  const queue = openKit().queue();
  const startDate = Date.now() + MINUTE;
  await queue.upsertJobScheduler('tick', { every: MINUTE, startDate }, { name: 'tick', data: 1 });
  await queue.upsertJobScheduler('tick', { every: MINUTE, startDate }, { name: 'tick', data: 2 });
  expect((await queue.getDelayed()).map((job) => job.data)).toEqual([2]);
  expect(await queue.getJobSchedulersCount()).toBe(1);
});

test('draining spares exactly the next job of a scheduler, also among waiting ones', async () => {
  const queue = openKit().queue();
  await queue.add('first', {});
  await queue.upsertJobScheduler('tick', { every: MINUTE, startDate: Date.now() + MINUTE }, { name: 'tick' });
  await queue.promoteJobs();
  await queue.add('last', {});
  await queue.drain();
  expect((await queue.getWaiting()).map((job) => job.name)).toEqual(['tick']);
});
