/** What revoking a long chain asks of a Redis: its records many levels at a time, and few commands for each step. */
import { chain } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { startRedis } from '../../../../test/support/redis-server.js';
import { callsByCommand } from '../../../../test/support/redis-use.js';

const STEPS = 400;

test('a chain that is revoked is read many steps at a time, and each step is marked once', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const redis = new Redis(server.url);
  onTestFinished(() => redis.disconnect());
  const app = createApp({ name: 'revoking', connection: server.url });
  onTestFinished(() => app.close());
  const add = app.task({ name: 'add', input: z.number(), run: async (n) => n + 1 });
  const run = await chain.of(Array.from({ length: STEPS }, () => add)).delay(0);
  await redis.config('RESETSTAT');
  expect(await run.revoke()).toBe(true);
  const calls = await callsByCommand(redis);
  // A command stores the mark of a step, and one reads its state after that.
  expect(calls.get('evalsha')).toBeGreaterThan(STEPS);
  expect(calls.get('evalsha')).toBeLessThan(2.2 * STEPS);
  // Records are read by a script, except those of jobs that can start.
  expect(calls.get('hgetall')).toBeLessThan(10);
});
