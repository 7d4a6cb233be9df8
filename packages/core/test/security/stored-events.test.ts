/** Events that cannot be read keep nobody from hearing of the next. */
import { createApp } from '@umbel/core';
import { expect, inject, onTestFinished, test, vi } from 'vitest';
import { onRedis } from '../support/planting.js';

const soon = { timeout: '50s' } as const;

/** Events of no form that BullMQ writes. */
const HOSTILE = [
  ['event', 'completed', 'jobId', 'x', 'returnvalue', '{broken'],
  ['event', 'progress', 'jobId', 'x', 'data', '{broken'],
  ['event', 'completed', 'jobId', 'x'],
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
  for (const fields of HOSTILE) {
    await onRedis(async (redis) => {
      for (const queue of ['default', 'umbel', 'umbel.control'])
        await redis.xadd(`umbel:{${name}}:${queue}:events`, '*', ...fields);
    });
  }
  await vi.waitFor(() => expect(told.join()).toContain('JSON'), 5000);
  // Orders may be missed while reading starts again; one that is given again is heard.
  await vi.waitFor(
    async () => {
      await first.revoke({ terminate: true });
      expect(await first.state()).toBe('revoked');
    },
    { timeout: 15_000, interval: 300 },
  );
  await expect(first.get(soon)).rejects.toThrow('revoked while it ran');
  expect(({} as { x?: unknown }).x).toBeUndefined();
});
