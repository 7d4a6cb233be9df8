import { type App, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';

const quiet = { info() {}, warn() {}, error() {} };
const soon = { timeout: '50s' } as const;

let redis: Redis;
const apps: App[] = [];

beforeEach(() => {
  redis = new Redis(inject('redisUrl'));
});

afterEach(async () => {
  const names = apps.map((app) => app.name);
  await Promise.all(apps.splice(0).map((app) => app.close()));
  for (const name of names) for (const key of await redis.keys(`umbel:{${name}}:*`)) await redis.del(key);
  redis.disconnect();
});

function open(url = inject('redisUrl')) {
  const app = createApp({ name: `broken-${crypto.randomUUID()}`, connection: url, logger: quiet });
  apps.push(app);
  const runs: number[] = [];
  const task = app.task({
    name: 'task',
    input: z.number(),
    retry: { attempts: 3, delay: 1 },
    run: async (n) => {
      runs.push(n);
      return n;
    },
  });
  const keyOf = (id: string) => `umbel:{${app.name}}:default:${id}`;
  return { app, task, runs, keyOf };
}

describe('a job whose record was spoilt in the store', () => {
  test.each(['data', 'opts', 'progress', 'parent'])(
    'fails once, and takes neither its worker nor other jobs with it: %s',
    async (field) => {
      const { app, task, runs, keyOf } = open();
      const before = await task.delay(1);
      const spoilt = await task.delay(2);
      const after = await task.delay(3);
      await redis.hset(keyOf(spoilt.id), field, '{"not json');
      await app.worker({ lockDuration: '1s' }).start();
      expect(await before.get(soon)).toBe(1);
      expect(await after.get(soon)).toBe(3);
      await expect(spoilt.get(soon)).rejects.toThrow('not valid JSON');
      expect(runs).toEqual([1, 3]);
      expect(await app.queue('default').counts()).toMatchObject({ active: 0, waiting: 0, failed: 1 });
    },
  );

  test('is the next one after a job that completes: both are settled', async () => {
    const { app, task, keyOf } = open();
    const jobs = await Promise.all([1, 2, 3, 4].map((n) => task.delay(n)));
    for (const { id } of jobs.slice(1, 3)) await redis.hset(keyOf(id), 'opts', '{{');
    await app.worker({ concurrency: 1 }).start();
    expect(await jobs[0]?.get(soon)).toBe(1);
    expect(await jobs[3]?.get(soon)).toBe(4);
    expect(await app.queue('default').counts()).toMatchObject({ active: 0, completed: 2, failed: 2 });
  });

  test('is gone: its handler is not called with nothing', async () => {
    const { app, task, runs, keyOf } = open();
    const gone = await task.delay(1);
    const next = await task.delay(2);
    await redis.del(keyOf(gone.id));
    await app.worker().start();
    expect(await next.get(soon)).toBe(2);
    await vi.waitFor(async () => expect((await app.queue('default').counts()).failed).toBe(1));
    expect(runs).toEqual([2]);
    await expect(gone.get(soon)).rejects.toThrow('its record is gone from the store');
  });
});

describe('a store that evicts keys', () => {
  let server: RedisServer;

  beforeEach(async () => {
    server = await startRedis();
    const admin = new Redis(server.url);
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    admin.disconnect();
  });

  afterEach(() => server.stop());

  test('is refused, with what to do', async () => {
    const { app } = open(server.url);
    await expect(app.worker().start()).rejects.toMatchObject({
      name: 'StoreConfigurationError',
      code: 'STORE_CONFIGURATION',
      message: expect.stringMatching(/maxmemory-policy allkeys-lru.*noeviction.*allowEviction: true/s),
    });
    await app.close();
  });

  test('is taken where it is allowed', async () => {
    const { app, task } = open(server.url);
    await app.worker({ allowEviction: true }).start();
    expect(await (await task.delay(1)).get(soon)).toBe(1);
    await app.close();
  });
});
