/** What many schedules that are due at the same second ask of a Redis. */
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startRedis } from '../../../../test/support/redis-server.js';
import { callsOf } from '../../../../test/support/redis-use.js';

const SCHEDULES = 100;

test('schedules that are due together share commands, and each slot is fired once', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const redis = new Redis(server.url);
  onTestFinished(() => redis.disconnect());
  const app = createApp({
    name: 'schedules',
    connection: server.url,
    logger: { info() {}, warn() {}, error() {} },
  });
  onTestFinished(() => app.close());
  const fired: string[] = [];
  const task = app.task({
    name: 'task',
    run: (_, { headers }) => {
      fired.push(`${headers['umbel-schedule']} ${headers['umbel-scheduled-at']}`);
      return null;
    },
  });
  for (let n = 0; n < SCHEDULES; n += 1) app.schedule(`s${n}`, { every: '5s' }, task.s());
  await app.worker().start();
  const slots = () => new Set(fired.map((each) => each.split(' ')[1]));
  // One moment for all of them: then each has a run that has ended.
  await vi.waitFor(() => expect(fired.length).toBeGreaterThanOrEqual(SCHEDULES), { timeout: 20_000 });
  await redis.config('RESETSTAT');
  const before = fired.length;
  await vi.waitFor(() => expect(fired.length).toBeGreaterThanOrEqual(before + SCHEDULES), {
    timeout: 20_000,
  });
  const count = fired.length - before;
  // To be taken, sent and given back, and its task to be taken and completed; what else there is, is shared.
  expect((await callsOf(redis, 'evalsha')) / count).toBeLessThan(5.5);
  expect(await callsOf(redis, 'multi')).toBe(0);
  expect(new Set(fired).size).toBe(fired.length);
  expect(slots().size).toBeGreaterThanOrEqual(2);
}, 60_000);
