/** What waits ask of their Redis, and how they end when it forgets, restarts or is far away. */
import { type App, createApp, UnknownJobError } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { callsOf } from '../../../../test/support/redis-use.js';
import { type HeldEvents, heldEvents } from '../support/held-events.js';

const soon = { timeout: '40s' } as const;
const quiet = { info() {}, warn() {}, error() {} };
/** More than are looked at within a few seconds without a reason. */
const MANY = 2000;

describe('those who wait', () => {
  let server: RedisServer;
  let redis: Redis;
  let events: HeldEvents;
  let waiting: App;
  let working: App;

  beforeEach(async () => {
    server = await startRedis(undefined, { durable: true });
    redis = new Redis(server.url, { retryStrategy: () => 50 });
    redis.on('error', () => {}); // it is killed
    events = heldEvents(server.url);
    waiting = createApp({ name: 'waits', connection: events.connection, logger: quiet });
    working = createApp({ name: 'waits', connection: server.url, logger: quiet });
  });

  afterEach(async () => {
    events.release();
    await Promise.all([waiting.close(), working.close()]);
    redis.disconnect();
    await server.stop();
  });

  const define = (app: App) => app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
  const tasks = new WeakMap<App, ReturnType<typeof define>>();
  const double = (app: App) => {
    const task = tasks.get(app) ?? define(app);
    tasks.set(app, task);
    return task;
  };

  const numbers = Array.from({ length: MANY }, (_, n) => n);

  /** Waits for many; resolves once each was looked at. */
  async function waitForMany(count = MANY) {
    const results = await double(waiting).sendMany(numbers.slice(0, count));
    const waits = results.map((result) => result.get(soon));
    for (const wait of waits) wait.catch(() => {}); // looked at below
    await vi.waitFor(() => expect(events.calls.get('readEvents') ?? 0).toBeGreaterThan(0), 5000);
    return waits;
  }

  /** Commands and scripts that were executed. */
  const commands = () => callsOf(redis, 'evalsha', 'xread', 'hgetall', 'xadd');

  test('cost the same, however many they are', async () => {
    await waitForMany();
    const before = await commands();
    const startedAt = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 4500));
    const asked = (await commands()) - before;
    // A process that stands still asks for what it has missed, so the time counts that really passed.
    expect(asked).toBeLessThan(4 + (2.5 * (performance.now() - startedAt)) / 1000);
    expect(asked).toBeGreaterThan(1);
  }, 300_000);

  test('cost nothing once they have what they waited for', async () => {
    const waits = await waitForMany(10);
    double(working);
    await working.worker().start();
    await Promise.all(waits);
    await working.close();
    const reads = () => events.calls.get('readEvents') ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 8000)); // a read is over, and they are known to be gone
    const before = [reads(), await commands()];
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect([reads(), await commands()]).toEqual(before);
    // And one who comes then is served again.
    const another = createApp({ name: 'waits', connection: server.url, logger: quiet });
    const getting = (await double(waiting).delay(4)).get(soon);
    double(another);
    await another.worker().start();
    expect(await getting).toBe(8);
    await another.close();
  }, 300_000);

  test('are told within seconds when the store has forgotten all', async () => {
    const waits = await waitForMany();
    const startedAt = performance.now();
    await redis.flushall();
    const ends = await Promise.all(waits.map((wait) => wait.catch((error: unknown) => error)));
    expect(ends.every((end) => end instanceof UnknownJobError)).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    // What is sent then is waited for as before.
    const getting = (await double(waiting).delay(4)).get(soon);
    double(working);
    await working.worker().start();
    expect(await getting).toBe(8);
  }, 300_000);

  test('have their results when the store restarts before they have read the events', async () => {
    const waits = await waitForMany();
    events.hold();
    double(working);
    await working.worker({ concurrency: 50, lockDuration: '3s' }).start();
    await vi.waitFor(
      async () => expect((await working.queue('default').counts()).completed).toBeGreaterThan(MANY / 2),
      { timeout: 30_000, interval: 20 },
    );
    await server.kill();
    await server.restart();
    events.release();
    expect(await Promise.all(waits)).toEqual(numbers.map((n) => n * 2));
  }, 300_000);

  test('have their results when the events are dropped while they are read', async () => {
    const waits = await waitForMany();
    // As a queue has it that keeps few events.
    await redis.hset('umbel:{waits}:default:meta', 'opts.maxLenEvents', '100');
    double(working);
    await working.worker({ concurrency: 50 }).start();
    const trimming = setInterval(() => void redis.xtrim('umbel:{waits}:default:events', 'MAXLEN', 10), 20);
    try {
      expect(await Promise.all(waits)).toEqual(numbers.map((n) => n * 2));
    } finally {
      clearInterval(trimming);
    }
  }, 300_000);

  test('have their results when the store comes back without its latest events', async () => {
    const waits = await waitForMany();
    events.hold();
    // A replica that took over may have missed some, and its clock may be behind.
    const key = 'umbel:{waits}:default:events';
    await redis.del(key);
    await redis.xadd(key, '1-1', 'event', 'added');
    await redis.xadd(key, '1-2', 'event', 'added');
    await redis.hset('umbel:{waits}:default:meta', 'opts.maxLenEvents', '1000000');
    double(working);
    await working.worker({ concurrency: 50 }).start();
    await vi.waitFor(async () => expect((await working.queue('default').counts()).completed).toBe(MANY), {
      timeout: 30_000,
      interval: 20,
    });
    events.release();
    expect(await Promise.all(waits)).toEqual(numbers.map((n) => n * 2));
  }, 300_000);

  test('wait for a store that was there, and hear at once of one that never was', async () => {
    const waits = await waitForMany(3);
    await server.kill();
    const never = createApp({ name: 'waits', connection: server.url, logger: quiet, sendTimeout: '300ms' });
    await expect(never.result(double(never), 'any').get(soon)).rejects.toMatchObject({ code: 'CONNECTION' });
    await never.close();
    await server.restart();
    double(working);
    await working.worker().start();
    expect(await Promise.all(waits)).toEqual([0, 2, 4]);
  }, 300_000);

  test('are read by a connection that is dead without saying so', async () => {
    const waits = await waitForMany(3);
    events.hold(); // for good
    double(working);
    await working.worker().start();
    expect(await Promise.all(waits)).toEqual([0, 2, 4]);
  }, 300_000);
});
