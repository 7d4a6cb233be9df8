import { ConnectionClosedError, Queue } from 'bullmq';
import { expect, test } from 'vitest';
import { memory } from '../../../src/memory/index.js';
import { openKit, take } from '../../support/memory-kit.js';

test('a worker gets a copy of the data as it was when the job was added', async () => {
  const kit = openKit();
  const data = { list: [1], at: new Date(0), skipped: undefined };
  await kit.queue().add('job', data);
  data.list.push(2);
  const job = await take(kit.hand());
  expect(job.data).toEqual({ list: [1], at: '1970-01-01T00:00:00.000Z' });
});

test('no object is shared between two reads of a job, not even an option', async () => {
  const kit = openKit();
  const queue = kit.queue();
  const backoff = { type: 'fixed', delay: 5 };
  await queue.add('job', { deep: {} }, { jobId: 'one', attempts: 2, backoff });
  backoff.delay = 6;
  const [first, second] = [await queue.getJob('one'), await queue.getJob('one')];
  expect(first?.opts.backoff).toEqual({ type: 'fixed', delay: 5 });
  expect(first?.opts.backoff).not.toBe(second?.opts.backoff);
  expect(first?.data.deep).not.toBe(second?.data.deep);
});

test('what a job returned is read back as JSON', async () => {
  const kit = openKit();
  const events = kit.events();
  const value = { when: new Date(0), nothing: undefined };
  kit.worker(async () => value);
  const job = await kit.queue().add('job', {});
  expect(await job.waitUntilFinished(events)).toEqual({ when: '1970-01-01T00:00:00.000Z' });
});

test('two stores share nothing', async () => {
  const [one, two] = [openKit(), openKit()];
  await one.queue().add('job', {});
  expect(await two.queue().getJobCounts('waiting')).toEqual({ waiting: 0 });
});

test('queues of one store differ by prefix and name', async () => {
  const factory = memory();
  const kit = openKit(factory);
  const other = new Queue('work', { connection: {}, prefix: 'other' }, factory);
  await kit.queue().add('job', {});
  expect(await other.count()).toBe(0);
  expect(await kit.queue('works').count()).toBe(0);
  await other.close();
});

test('a closed queue refuses commands', async () => {
  const queue = openKit().queue();
  await queue.close();
  await expect(queue.add('job', {})).rejects.toThrow(ConnectionClosedError);
});

test('the workers of a queue are listed while they are open', async () => {
  const kit = openKit();
  const queue = kit.queue();
  const hand = kit.hand({ name: 'bee' });
  kit.hand({}, 'elsewhere');
  expect(await queue.getWorkers()).toMatchObject([{ name: 'work', rawname: 'bull:d29yaw==:w:bee' }]);
  await hand.close();
  expect(await queue.getWorkersCount()).toBe(0);
});
