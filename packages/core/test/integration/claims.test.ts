import { type App, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { callsOf } from '../../../../test/support/redis-use.js';

const quiet = { info() {}, warn() {}, error() {} };

let redis: RedisServer;
let admin: Redis;
let app: App;

beforeEach(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  app = createApp({ name: 'claims', connection: redis.url, logger: quiet });
});

afterEach(async () => {
  await app.close();
  admin.disconnect();
  await redis.stop();
});

const scriptCommands = () => callsOf(admin, 'eval', 'evalsha');

/** A task whose handlers run until they are let go. */
function gatedTask() {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const started: number[] = [];
  const task = app.task({
    name: 'task',
    input: z.number(),
    run: async (n) => {
      started.push(n);
      await released;
      return n;
    },
  });
  return { task, started, release };
}

test('a worker with many free places claims many jobs with a command, and no more than it has places', async () => {
  const { task, started, release } = gatedTask();
  const jobs = await Promise.all(Array.from({ length: 120 }, (_, n) => task.delay(n)));
  const before = await scriptCommands();
  await app.worker({ concurrency: 100 }).start();
  await expect.poll(() => started.length).toBe(100);
  // One by one, these would be 100; sweeps, retention and the internal queue have some, too.
  expect((await scriptCommands()) - before).toBeLessThan(50);
  expect(await admin.llen('umbel:{claims}:default:active')).toBe(100);
  expect(started).toEqual(Array.from({ length: 100 }, (_, n) => n));
  release();
  expect(await Promise.all(jobs.map((job) => job.get()))).toEqual(jobs.map((_, n) => n));
});

test('jobs that end together while none waits look for a next one once for each command', async () => {
  const { task, started, release } = gatedTask();
  const jobs = await Promise.all(Array.from({ length: 96 }, (_, n) => task.delay(n)));
  await app.worker({ concurrency: 96 }).start();
  await expect.poll(() => started.length).toBe(96);
  const [looks, commands] = [await callsOf(admin, 'rpoplpush'), await scriptCommands()];
  release();
  await Promise.all(jobs.map((job) => job.get()));
  const [looked, sent] = [(await callsOf(admin, 'rpoplpush')) - looks, (await scriptCommands()) - commands];
  expect(looked).toBeGreaterThan(0);
  expect(looked).toBeLessThan(2 * sent);
  expect(looked).toBeLessThan(48);
});

test('a worker that closes while it claims runs what it has claimed, and leaves the rest', async () => {
  for (let round = 0; round < 10; round += 1) {
    const ran: number[] = [];
    const name = `task-${round}`;
    const task = app.task({
      name,
      queue: name,
      input: z.number(),
      run: async (n) => {
        ran.push(n);
        return n;
      },
    });
    await Promise.all(Array.from({ length: 300 }, (_, n) => task.delay(n)));
    const worker = app.worker({ concurrency: 100, queues: [name] });
    await worker.start();
    await new Promise<void>((resolve) => setImmediate(resolve));
    for (let turns = 0; turns < 2 * round; turns += 1) await admin.ping();
    await worker.close();
    const [active, waiting, completed] = await Promise.all([
      admin.llen(`umbel:{claims}:${name}:active`),
      admin.llen(`umbel:{claims}:${name}:wait`),
      admin.zcard(`umbel:{claims}:${name}:completed`),
    ]);
    expect({ active, sum: waiting + completed }).toEqual({ active: 0, sum: 300 });
    expect(ran).toEqual(Array.from({ length: completed }, (_, n) => n));
  }
});
