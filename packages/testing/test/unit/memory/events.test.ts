import { QueueEventsProducer } from 'bullmq';
import { expect, test } from 'vitest';
import { EventStream, NextTick } from '../../../src/memory/events.js';
import { memory } from '../../../src/memory/index.js';
import { once, openKit } from '../../support/memory-kit.js';

test('the events of a job come in order, each once', async () => {
  const kit = openKit();
  const events = kit.events();
  const queue = kit.queue();
  await events.waitUntilReady();
  const seen: string[] = [];
  for (const name of ['added', 'waiting', 'active', 'progress', 'completed'] as const) {
    events.on(name, () => seen.push(name));
  }
  const drained = once(events, 'drained');
  kit.worker((job) => job.updateProgress({ step: 1 }));
  await queue.add('job', {});
  await drained;
  expect(seen).toEqual(['added', 'waiting', 'active', 'progress', 'completed']);
});

test('a reader can start from the first event that is kept', async () => {
  const kit = openKit();
  const queue = kit.queue();
  await queue.add('job', {});
  const entries = await queue.getBackend().readEvents('0', 1);
  expect(entries?.[0]?.[0]).toBe('bull:work:events');
  expect(entries?.[0]?.[1].map(([, fields]) => fields)).toEqual([
    ['event', 'added', 'jobId', '1', 'name', 'job'],
    ['event', 'waiting', 'jobId', '1'],
  ]);
});

test('a custom event reaches the listeners of the queue', async () => {
  const factory = memory();
  const events = openKit(factory).events();
  const producer = new QueueEventsProducer('work', { connection: {} }, factory);
  const received = once(events, 'renamed');
  await producer.publishEvent({ eventName: 'renamed', to: 'x' });
  expect((await received)[0]).toEqual({ to: 'x' });
  await producer.close();
});

test('ids rise within a millisecond and when the clock goes back', () => {
  const stream = new EventStream(new NextTick());
  const added = [5, 5, 3, 6].map((at) => {
    stream.add(at, []);
    return stream.lastId;
  });
  expect(added).toEqual(['5-0', '5-1', '5-2', '6-0']);
});

test('a stream is trimmed by whole hundreds and never below its limit', () => {
  const stream = new EventStream(new NextTick());
  for (let at = 1; at <= 250; at += 1) stream.add(at, []);
  expect(stream.trim(120)).toBe(100);
  expect(stream.length).toBe(150);
  expect(stream.after('0')[0]?.[0]).toBe('101-0');
  expect(stream.trim(0)).toBe(150);
});
