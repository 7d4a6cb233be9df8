import { expect, test } from 'vitest';
import { memory } from '../../../src/memory/index.js';
import { ManualClock, openKit, take } from '../../support/memory-kit.js';

test('a second job of an id is the first one until that has finished', async () => {
  const kit = openKit();
  const queue = kit.queue();
  const deduplication = { id: 'one' };
  const first = await queue.add('job', {}, { deduplication });
  expect((await queue.add('job', {}, { deduplication })).id).toBe(first.id);
  await (await take(kit.hand())).moveToCompleted(1, 'token', false);
  expect((await queue.add('job', {}, { deduplication })).id).not.toBe(first.id);
});

test('an id with a ttl is free after it, even if the job has not finished', async () => {
  const clock = new ManualClock();
  const kit = openKit(memory({ clock }));
  const queue = kit.queue();
  const deduplication = { id: 'one', ttl: 1000 };
  const first = await queue.add('job', {}, { deduplication });
  clock.advance(1000);
  expect((await queue.add('job', {}, { deduplication })).id).toBe(first.id);
  clock.advance(1);
  expect((await queue.add('job', {}, { deduplication })).id).not.toBe(first.id);
});

test('an extended ttl starts again with each job that is left out', async () => {
  const clock = new ManualClock();
  const queue = openKit(memory({ clock })).queue();
  const deduplication = { id: 'one', ttl: 1000, extend: true };
  const first = await queue.add('job', {}, { deduplication });
  for (let round = 0; round < 3; round += 1) {
    clock.advance(900);
    expect((await queue.add('job', {}, { deduplication })).id).toBe(first.id);
  }
});

test('with replace a delayed job gives way to the new one', async () => {
  const queue = openKit().queue();
  const opts = { delay: 60_000, deduplication: { id: 'one', replace: true } };
  const first = await queue.add('job', { version: 1 }, opts);
  const second = await queue.add('job', { version: 2 }, opts);
  expect(await first.getState()).toBe('unknown');
  expect((await queue.getDelayed()).map((job) => job.data)).toEqual([{ version: 2 }]);
  expect(await queue.getDeduplicationJobId('one')).toBe(second.id);
});

test('with keepLastIfActive the last job added meanwhile runs after the active one', async () => {
  const kit = openKit();
  const queue = kit.queue();
  const hand = kit.hand();
  const opts = { deduplication: { id: 'one', keepLastIfActive: true } };
  await queue.add('job', { version: 1 }, opts);
  const active = await take(hand);
  await queue.add('job', { version: 2 }, opts);
  await queue.add('job', { version: 3 }, opts);
  expect(await queue.getWaitingCount()).toBe(0);
  await active.moveToCompleted(1, 'token', false);
  expect((await take(hand)).data).toEqual({ version: 3 });
  expect(await queue.getWaitingCount()).toBe(0);
});

test('removing the key frees the id', async () => {
  const queue = openKit().queue();
  const deduplication = { id: 'one' };
  const first = await queue.add('job', {}, { deduplication });
  expect(await queue.removeDeduplicationKey('one')).toBe(1);
  expect((await queue.add('job', {}, { deduplication })).id).not.toBe(first.id);
});
