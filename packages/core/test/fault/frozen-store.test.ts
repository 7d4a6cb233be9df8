import { setTimeout as pause } from 'node:timers/promises';
import { type App, createApp } from '@umbel/core';
import { createRedisBackend, Queue, type WorkerOptions } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { undisturbed } from '../../../../test/support/undisturbed.js';
import { holdsSweepsOff } from '../../src/store/guards/locks.js';

const quiet = { info() {}, warn() {}, error() {} };
const soon = { timeout: '50s' } as const;
const LOCK_MS = 1000;

let redis: RedisServer;
const apps: App[] = [];

beforeEach(async () => {
  redis = await startRedis();
});

afterEach(async () => {
  redis.thaw();
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await redis.stop();
});

/** A scenario in which every lock is renewed in time, on a store that is empty. */
const renewing = (scenario: () => Promise<void>) =>
  undisturbed(LOCK_MS / 4, async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    const admin = new Redis(redis.url);
    await admin.flushall();
    admin.disconnect();
    await scenario();
  });

/** An app whose one task takes as long as it is told to, and two workers for it. */
async function open() {
  const started: number[] = [];
  const make = () => {
    const app = createApp({ name: 'frozen', connection: redis.url, logger: quiet, sendTimeout: '20s' });
    apps.push(app);
    const task = app.task({
      name: 'wait',
      input: z.number(),
      retry: { attempts: 3 },
      run: async (ms, ctx) => {
        started.push(ms);
        await pause(ms);
        return ctx.attempt;
      },
    });
    return { app, task };
  };
  const first = make();
  const second = make();
  await Promise.all([first, second].map(({ app }) => app.worker({ lockDuration: LOCK_MS }).start()));
  return { ...first, started };
}

describe('Redis that stands still for longer than a lock', () => {
  test.each([0.5, 2, 5])('%f times as long: lets every job run once, and fails none', async (locks) => {
    await renewing(async () => {
      const { app, task, started } = await open();
      const lengths = [100, 800, 1500, 2500, 4000, 6000];
      const results = await Promise.all(lengths.map((ms) => task.delay(ms)));
      await vi.waitFor(() => expect(started).toHaveLength(lengths.length), { interval: 5 });
      redis.freeze();
      await pause(LOCK_MS * locks);
      redis.thaw();
      expect(await Promise.all(results.map((result) => result.get(soon)))).toEqual(lengths.map(() => 1));
      expect(started).toHaveLength(lengths.length);
      expect(await app.deadLetters.list()).toEqual([]);
    });
  });
});

describe('a Redis that is full', () => {
  test('makes no failure of a handler that has succeeded, and has it run once', async () => {
    await renewing(async () => {
      const { task, started } = await open();
      const admin = new Redis(redis.url);
      const result = await task.delay(300);
      await vi.waitFor(() => expect(started).toHaveLength(1), { interval: 5 });
      await admin.config('SET', 'maxmemory', '1');
      await pause(2000); // the handler ends, and its outcome is refused
      expect((await admin.lrange('umbel:{frozen}:default:active', 0, -1)).length).toBe(1);
      await admin.config('SET', 'maxmemory', '0');
      admin.disconnect();
      expect(await result.get(soon)).toBe(1);
      expect(started).toHaveLength(1);
    });
  });
});

describe('a Redis that answers, and refuses to write for longer than a lock', () => {
  test.each([
    ['is full again and again', 'maxmemory', 3],
    ['lacks its replicas', 'min-replicas-to-write', 2],
  ] as const)('lets every job run once, and fails none: it %s', async (_, setting, times) => {
    await renewing(async () => {
      const { app, task, started } = await open();
      const admin = new Redis(redis.url);
      const lengths = [100, 800, 1500, ...Array<number>(13).fill(times * 3.5 * LOCK_MS)];
      const results = await Promise.all(lengths.map((ms) => task.delay(ms)));
      await vi.waitFor(() => expect(started).toHaveLength(lengths.length), { interval: 5 });
      for (let time = 0; time < times; time += 1) {
        await admin.config('SET', setting, '1');
        await pause(2.5 * LOCK_MS);
        await admin.config('SET', setting, '0');
        await pause(LOCK_MS);
      }
      admin.disconnect();
      expect(await Promise.all(results.map((result) => result.get(soon)))).toEqual(lengths.map(() => 1));
      expect(started).toHaveLength(lengths.length);
      expect(await app.deadLetters.list()).toEqual([]);
    });
  });

  test.each(['maxmemory', 'min-replicas-to-write'])(
    'has no job put back by the first sweep after it, however soon that comes: %s',
    async (setting) => {
      const admin = new Redis(redis.url);
      const options = { connection: { url: redis.url }, prefix: 'umbel:{swept}' };
      const times: Partial<WorkerOptions> = { stalledInterval: 100, lockDuration: 300, maxStalledCount: 10 };
      const ofWorker = { ...options, ...times };
      const backend = createRedisBackend('default', ofWorker, { withBlockingConnection: true });
      holdsSweepsOff(backend, 100);
      const queue = new Queue('default', options);
      const { id } = await queue.add('job', {});
      const sweep = () => pause(150).then(() => backend.moveStalledJobsToWait());
      await backend.waitUntilReady();
      await backend.moveToActive('token');
      const noted = () => admin.smembers('umbel:{swept}:default:stalled');
      while ((await noted()).length === 0) await sweep();
      await admin.config('SET', setting, '1');
      for (let refused = 0; refused < 3; refused += 1)
        await expect(sweep()).rejects.toThrow(/^(OOM|NOREPLICAS)/);
      await admin.config('SET', setting, '0');
      expect(await sweep()).toEqual([]);
      // Its worker has had time to renew the lock. A sweep of a busy machine is late too, and waits once more.
      await vi.waitFor(async () => expect(await sweep()).toEqual([id]));
      admin.disconnect();
      await queue.close();
      await backend.close();
    },
  );
});

describe('an event loop that is blocked for longer than a lock', () => {
  test('does not have the sweep of its own worker run the job again', async () => {
    const app = createApp({ name: 'blocked', connection: redis.url, logger: quiet });
    apps.push(app);
    let started = 0;
    const block = app.task({
      name: 'block',
      run: async () => {
        started += 1;
        const until = performance.now() + 3 * LOCK_MS;
        while (performance.now() < until);
        await pause(3 * LOCK_MS);
        return started;
      },
    });
    await app.worker({ lockDuration: LOCK_MS }).start();
    expect(await (await block.delay()).get(soon)).toBe(1);
  });
});

describe('a job that was handed out in an answer that got lost', () => {
  test('runs after its lock has run out, with all its attempts', async () => {
    const { Worker } = await import('bullmq');
    const app = createApp({ name: 'handed', connection: redis.url, logger: quiet });
    apps.push(app);
    const task = app.task({ name: 'task', retry: { attempts: 1 }, run: async (_, ctx) => ctx.attempt });
    const result = await task.delay();
    const hand = new Worker('default', null, {
      connection: { url: redis.url },
      prefix: 'umbel:{handed}',
      lockDuration: LOCK_MS,
      autorun: false,
    });
    expect((await hand.getNextJob('nobody'))?.id).toBe(result.id);
    await hand.close();
    const startedAt = performance.now();
    await app.worker({ lockDuration: LOCK_MS }).start();
    expect(await result.get(soon)).toBe(1);
    // The lock, and two sweeps.
    expect(performance.now() - startedAt).toBeLessThan(25_000); // and not those of half a minute
  });
});
