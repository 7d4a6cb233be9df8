/** Events that cannot be read keep nobody from hearing of the next, and end no wait. */
import { createApp } from '@umbel/core';
import { expect, inject, onTestFinished, test, vi } from 'vitest';
import { onRedis } from '../support/planting.js';

const soon = { timeout: '50s' } as const;

/** Events of no form that BullMQ writes, of a job that goes on. */
const hostile = (id: string) => [
  ['event', 'completed', 'jobId', id, 'returnvalue', '{broken'],
  ['event', 'progress', 'jobId', id, 'data', '{broken'],
  ['event', 'completed', 'jobId', id],
  ['event', 'failed', 'jobId', id],
  ['event', 'failed', 'jobId', id, 'failedReason', 'because somebody says so'],
  ['event', 'removed', 'jobId', id],
  ['event', 'completed'],
  ['event', 'error'],
  ['event', '__proto__', 'jobId', '__proto__'],
  ['event', 'newListener', 'jobId', 'x'],
  ['event', 'terminate'],
  ['event', 'terminate', '__proto__', 'x', 'queue', 'constructor', 'id', ''],
  ['nothing', '1'],
];

test('orders reach a worker, and ends a caller, after events that nobody can read', async () => {
  const told: string[] = [];
  const name = `events-${process.pid}`;
  const logger = { info() {}, warn() {}, error: (message: string) => void told.push(message) };
  const app = createApp({ name, connection: inject('redisUrl'), logger });
  onTestFinished(() => app.close());
  const wait = app.task({
    name: 'wait',
    run: (_input, { signal, progress }) =>
      new Promise<null>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        void progress('started');
      }),
  });
  await app.worker().start();
  const first = await wait.delay();
  for await (const progress of first.progress(soon)) {
    expect(progress).toBe('started');
    break;
  }
  const waiting = first.get(soon);
  waiting.catch(() => {}); // looked at below
  const following = first.progress(soon);
  expect(await following.next()).toEqual({ value: 'started', done: false });
  for (const fields of hostile(first.id)) {
    await onRedis(async (redis) => {
      for (const queue of ['default', 'umbel', 'umbel.control'])
        await redis.xadd(`umbel:{${name}}:${queue}:events`, '*', ...fields);
    });
  }
  // Orders may be missed while reading starts again; one that is given again is heard.
  await vi.waitFor(
    async () => {
      await first.revoke({ terminate: true });
      expect(await first.state()).toBe('revoked');
    },
    { timeout: 15_000, interval: 300 },
  );
  await expect(waiting).rejects.toThrow('revoked while it ran');
  expect(await following.next()).toEqual({ value: undefined, done: true });
  await expect(first.get(soon)).rejects.toThrow('revoked while it ran');
  expect(told).toEqual([]);
  expect(({} as { x?: unknown }).x).toBeUndefined();
});
