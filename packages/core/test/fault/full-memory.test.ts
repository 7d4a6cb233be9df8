import { type App, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';

const quiet = { info() {}, warn() {}, error() {} };
const soon = { timeout: '50s' } as const;

let redis: RedisServer;
let admin: Redis;
let app: App;

beforeEach(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  app = createApp({ name: 'full', connection: redis.url, logger: quiet });
});

afterEach(async () => {
  await app.close();
  admin.disconnect();
  await redis.stop();
});

const fill = () => admin.config('SET', 'maxmemory', '1');
const empty = () => admin.config('SET', 'maxmemory', '0');

test('jobs whose time comes while the store is full are not lost', async () => {
  const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
  const jobs = await Promise.all([1, 2, 3].map((n) => task.applyAsync(n, { countdown: 300 })));
  await app.worker().start();
  await fill();
  const deadline = Date.now() + 1500;
  while (Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50)); // workers ask for them meanwhile
  await empty();
  expect(await Promise.all(jobs.map((job) => job.get(soon)))).toEqual([1, 2, 3]);
});

test('what is sent meanwhile is sent once there is room', async () => {
  const { chain } = await import('@umbel/canvas');
  const task = app.task({ name: 'task', input: z.number(), run: async (n) => n + 1 });
  await app.worker().start();
  await fill();
  const sending = [task.delay(1), chain(task, task, task).delay(1)];
  setTimeout(() => void empty(), 700);
  const [one, three] = await Promise.all(sending);
  expect([await one?.get(soon), await three?.get(soon)]).toEqual([2, 4]);
});

test('a handler that cannot report meanwhile waits until it can, and runs once', async () => {
  const attempts: number[] = [];
  const reporting = app.task({
    name: 'reporting',
    retry: { attempts: 2, delay: 1 },
    run: async (_, ctx) => {
      attempts.push(ctx.attempt);
      if (attempts.length === 1) await fill();
      await ctx.progress(1);
      return ctx.attempt;
    },
  });
  await app.worker({ lockDuration: '1s' }).start();
  const result = await reporting.delay();
  await vi.waitFor(() => expect(attempts).toHaveLength(1), { timeout: 5000 });
  await new Promise((resolve) => setTimeout(resolve, 2500)); // longer than its lock
  await empty();
  expect(await result.get(soon)).toBe(1);
  expect(attempts).toEqual([1]);
});

test('a handler that has put something in its place meanwhile, or has failed, runs once', async () => {
  const starts: string[] = [];
  const last = app.task({ name: 'last', run: async () => 'last' });
  const replaced = app.task({
    name: 'replaced',
    run: async (_, ctx) => {
      starts.push('replaced');
      if (starts.length === 2) await fill();
      await vi.waitFor(() => expect(starts).toHaveLength(2), { timeout: 5000 });
      return ctx.replace(last.s());
    },
  });
  const failing = app.task({
    name: 'failing',
    run: async (): Promise<string> => {
      starts.push('failing');
      if (starts.length === 2) await fill();
      await vi.waitFor(() => expect(starts).toHaveLength(2), { timeout: 5000 });
      throw new Error('its own');
    },
  });
  await app.worker({ lockDuration: '1s' }).start();
  const [becomes, fails] = await Promise.all([replaced.delay(), failing.delay()]);
  await vi.waitFor(() => expect(starts).toHaveLength(2), { timeout: 5000 });
  await new Promise((resolve) => setTimeout(resolve, 2500)); // longer than their locks
  await empty();
  expect(await becomes.get(soon)).toBe('last');
  await expect(fails.get(soon)).rejects.toMatchObject({ cause: { message: 'its own' } });
  expect(starts.toSorted()).toEqual(['failing', 'replaced']);
});
