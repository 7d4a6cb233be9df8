import type { App, AppWorker, QueueCounts } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { closeWhenEmpty } from '../../src/worker/run-worker.js';

const none: QueueCounts = {
  waiting: 0,
  delayed: 0,
  'waiting-children': 0,
  active: 0,
  completed: 5,
  failed: 1,
};

/** A worker of the queue `a`; `looks` are the counts of that queue, one for each time that it is counted. */
function world(looks: readonly Partial<QueueCounts>[], ended: () => number = () => 0) {
  let look = 0;
  const close = vi.fn(async () => {});
  const worker = {
    state: 'running',
    queues: ['a'],
    active: [],
    get counts() {
      return { completed: ended(), failed: 0, retried: 0, waiting: 0, returned: 0, lost: 0 };
    },
    close,
  } as unknown as AppWorker;
  const app = {
    queue: (name: string) => ({
      counts: async () => (name === 'a' ? { ...none, ...looks[Math.min(look++, looks.length - 1)] } : none),
    }),
  } as unknown as App;
  return { worker, app, close, looked: () => look };
}

test.each(['waiting', 'delayed', 'waiting-children', 'active'] as const)(
  'a queue with a job that is %s is not empty',
  async (state) => {
    const { app, worker, close, looked } = world([{ [state]: 1 }, {}, {}]);
    await closeWhenEmpty(app, worker);
    expect(looked()).toBe(3);
    expect(close).toHaveBeenCalledOnce();
  },
);

test('a store that is away is asked again, and another error ends it', async () => {
  const away = Object.assign(new Error('away'), { [Symbol.for('umbel.error')]: true, code: 'CONNECTION' });
  const { worker, close } = world([{}]);
  const counts = vi.fn(async () => none).mockRejectedValueOnce(away);
  const failing = { queue: () => ({ counts }) } as unknown as App;
  await closeWhenEmpty(failing, worker);
  expect(close).toHaveBeenCalledOnce();
  counts.mockRejectedValueOnce(new TypeError('no'));
  await expect(closeWhenEmpty(failing, worker)).rejects.toThrow('no');
});

test('an attempt between two looks calls for another one', async () => {
  let reads = 0;
  const { app, worker, looked } = world([{}], () => (reads++ < 2 ? 0 : 1));
  await closeWhenEmpty(app, worker);
  expect(looked()).toBe(4);
});
