import { expect, test } from 'vitest';
import { memory } from '../../../src/memory/index.js';
import { ManualClock, once, openKit, take } from '../../support/memory-kit.js';

test('jobs are taken in the order in which they were added', async () => {
  const kit = openKit();
  const [queue, hand] = [kit.queue(), kit.hand()];
  for (const name of ['a', 'b', 'c']) await queue.add(name, {});
  expect([(await take(hand)).name, (await take(hand)).name, (await take(hand)).name]).toEqual([
    'a',
    'b',
    'c',
  ]);
});

test('a lifo job is taken before those that wait already', async () => {
  const kit = openKit();
  const [queue, hand] = [kit.queue(), kit.hand()];
  await queue.add('first', {});
  await queue.add('last', {}, { lifo: true });
  expect((await take(hand)).name).toBe('last');
});

test('jobs without a priority go first, then those of the lowest number, each in their order', async () => {
  const kit = openKit();
  const [queue, hand] = [kit.queue(), kit.hand()];
  const priorities = [3, 1, 0, 1, 2];
  await queue.addBulk(
    priorities.map((priority, at) => ({ name: `${priority}-${at}`, data: {}, opts: { priority } })),
  );
  const taken = [];
  for (const _ of priorities) taken.push((await take(hand)).name);
  expect(taken).toEqual(['0-2', '1-1', '1-3', '2-4', '3-0']);
});

test('delayed jobs of one millisecond keep their order', async () => {
  const clock = new ManualClock();
  const kit = openKit(memory({ clock }));
  const [queue, hand] = [kit.queue(), kit.hand()];
  await queue.addBulk(['c', 'a', 'b'].map((name) => ({ name, data: {}, opts: { delay: 50 } })));
  clock.advance(50);
  expect([(await take(hand)).name, (await take(hand)).name, (await take(hand)).name]).toEqual([
    'c',
    'a',
    'b',
  ]);
});

test('a delayed job is not taken before its time and keeps its priority', async () => {
  const clock = new ManualClock();
  const kit = openKit(memory({ clock }));
  const [queue, hand] = [kit.queue(), kit.hand()];
  await queue.add('later', {}, { delay: 1000, priority: 2 });
  clock.advance(999);
  expect(await hand.getNextJob('token', { block: false })).toBeUndefined();
  clock.advance(1);
  expect(await take(hand)).toMatchObject({ name: 'later', priority: 2, delay: 0 });
});

test('promoting a delayed job puts it behind the waiting ones', async () => {
  const kit = openKit();
  const [queue, hand] = [kit.queue(), kit.hand()];
  const delayed = await queue.add('delayed', {}, { delay: 60_000 });
  await queue.add('waiting', {});
  await delayed.promote();
  expect([(await take(hand)).name, (await take(hand)).name]).toEqual(['waiting', 'delayed']);
});

test('a failed attempt runs again after its backoff, by the clock of the store', async () => {
  const clock = new ManualClock();
  const kit = openKit(memory({ clock }));
  const queue = kit.queue();
  const events = kit.events();
  let attempts = 0;
  kit.worker(async () => {
    attempts += 1;
    if (attempts === 1) throw new Error('once');
    return attempts;
  });
  const delayed = once(events, 'delayed');
  const job = await queue.add('flaky', {}, { attempts: 2, backoff: { type: 'fixed', delay: 3_600_000 } });
  await delayed;
  expect(await job.getState()).toBe('delayed');
  const finished = job.waitUntilFinished(events);
  clock.advance(3_600_000);
  expect(await finished).toBe(2);
});
