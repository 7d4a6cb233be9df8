/** BullMQ decides about a commit that fails, as it does for its own worker: Umbel's shorter way ends there. */
import { memory } from '@umbel/testing';
import type { BackendFactory, IQueueBackend } from 'bullmq';
import { Queue } from 'bullmq';
import { afterEach, expect, test } from 'vitest';
import { ConsumerWorker } from '../../src/store/consumer-worker.js';
import { Claims } from '../../src/store/held-job.js';

const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of opened.splice(0).reverse()) await part.close();
});

/** Runs a job of Umbel whose first commit fails with the error. Returns what happened. */
async function runWith(error: Error) {
  const connect = memory();
  const queue = new Queue('work', { connection: {} }, connect);
  let [handled, commits] = [0, 0];
  const failingOnce: BackendFactory<IQueueBackend> = (...args) => {
    const backend = connect(...args);
    const { moveToCompleted } = backend;
    backend.moveToCompleted = (...commit) => {
      commits += 1;
      return commits === 1 ? Promise.reject(error) : moveToCompleted.apply(backend, commit);
    };
    return backend;
  };
  const worker = new ConsumerWorker(
    'work',
    async () => {
      handled += 1;
      return 'result';
    },
    { connection: {}, autorun: false, runRetryDelay: 1 },
    { claims: new Claims(), onLost: () => {}, backend: failingOnce, isUnshared: true },
  );
  const errors: Error[] = [];
  worker.on('error', (reported) => errors.push(reported));
  opened.push(queue, worker);
  const job = await queue.add('task', { umbel: 1, input: 1 });
  const ended = () => queue.getJobCounts('completed', 'failed');
  void worker.run();
  await expect.poll(async () => Object.values(await ended()).reduce((sum, count) => sum + count)).toBe(1);
  const stored = await queue.getJob(job.id ?? '');
  return { handled, commits, errors, ...(await ended()), stored };
}

test('because of the connection is repeated, without a second run of the handler', async () => {
  const { stored, errors, ...rest } = await runWith(new Error('connect ECONNREFUSED 127.0.0.1:1'));
  expect(rest).toEqual({ handled: 1, commits: 2, completed: 1, failed: 0 });
  expect(stored?.returnvalue).toBe('result');
  expect(errors).toEqual([]);
});

test('for another reason fails the job, and is reported', async () => {
  const error = new Error('no room for the result');
  const { stored, errors, ...rest } = await runWith(error);
  expect(rest).toEqual({ handled: 1, commits: 1, completed: 0, failed: 1 });
  expect(stored?.failedReason).toBe(error.message);
  expect(errors).toEqual([error]);
});
