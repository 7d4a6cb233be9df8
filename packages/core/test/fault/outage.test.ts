import { setTimeout as pause } from 'node:timers/promises';
import { type App, type AsyncResult, createApp } from '@umbel/core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';

const soon = { timeout: '50s' } as const;

describe('while Redis is away', () => {
  let redis: RedisServer;
  const apps: App[] = [];

  beforeEach(async () => {
    redis = await startRedis(undefined, { durable: true });
  });

  afterEach(async () => {
    redis.thaw();
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await redis.stop();
  });

  function open(options: object = {}): App {
    const logger = { info() {}, warn() {}, error() {} };
    const app = createApp({ name: 'outage', connection: redis.url, logger, ...options });
    apps.push(app);
    return app;
  }

  const numbered = (app: App, seen: [number, number][]) =>
    app.task({
      name: 'numbered',
      input: z.number(),
      retry: { attempts: 3 },
      run: async (n, { attempt }) => {
        seen.push([n, attempt]);
        await pause(5);
        return n;
      },
    });

  test('nothing that is sent, waited for or under way is lost, and no attempt is used up', async () => {
    const seen: [number, number][] = [];
    const worker = open();
    numbered(worker, seen);
    await worker.worker({ concurrency: 5, lockDuration: '3s' }).start();
    const sender = open();
    const task = numbered(sender, []);
    const waits: Promise<number>[] = [];
    const send = async (from: number, to: number) => {
      for (let n = from; n < to; n += 1) waits.push((await task.delay(n)).get(soon));
    };
    const sending = send(0, 300);
    for (let kills = 1; kills <= 2; kills += 1) {
      await vi.waitFor(() => expect(waits.length).toBeGreaterThan(kills * 80), {
        timeout: 20_000,
        interval: 1,
      });
      await redis.kill();
      await pause(200);
      await redis.restart();
    }
    await sending;
    expect(await Promise.all(waits)).toEqual(Array.from({ length: 300 }, (_, n) => n));
    expect(new Set(seen.map(([n]) => n)).size).toBe(300);
    // Some run twice: their outcome could not be stored before their lock ran out. That is no failed attempt.
    expect(seen.filter(([, attempt]) => attempt > 1)).toEqual([]);
    const infos = (await worker.deadLetters.list()).length;
    expect(infos).toBe(0);
  });

  test('a schedule fires late what was due meanwhile, and leaves no slot out', async () => {
    const app = open();
    const seen: string[] = [];
    const tick = app.task({
      name: 'tick',
      run: async (_, { headers }) => void seen.push(headers['umbel-scheduled-at'] ?? ''),
    });
    const often = app.schedule('often', { every: '1s', overlap: 'allow' }, tick);
    await app.worker({ lockDuration: '1s' }).start();
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(1), { timeout: 10_000, interval: 5 });
    await redis.kill();
    await pause(2500);
    await redis.restart();
    const restarted = seen.length;
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(restarted + 4), {
      timeout: 25_000,
      interval: 20,
    });
    const slots = [...new Set(seen)].map((slot) => Date.parse(slot)).sort((a, b) => a - b);
    expect(slots).toEqual(slots.map((_, n) => (slots[0] ?? 0) + n * 1000));
    const { runs } = await often.info();
    expect(runs.filter(({ outcome }) => outcome !== 'fired')).toEqual([]);
  });

  test('a sending is an error once its budget is spent, and can be sent again by its key', async () => {
    const app = open();
    const task = numbered(app, []);
    const first = await task.applyAsync(1, { idempotencyKey: 'one' });
    redis.freeze();
    const startedAt = performance.now();
    const sending = task.applyAsync(2, { idempotencyKey: 'two', sendTimeout: 300 });
    await expect(sending).rejects.toThrow('The store did not answer within 0.3 s');
    expect(performance.now() - startedAt).toBeLessThan(30_000);
    redis.thaw();
    const again = await task.applyAsync(2, { idempotencyKey: 'two' });
    expect(again.id).not.toBe(first.id);
    expect((await app.queue('default').counts()).waiting).toBe(2);
  });

  test('a worker waits for it to come, with the settings of its queues too', async () => {
    await redis.kill();
    const app = open({ sendTimeout: '200ms', queues: { slow: { concurrency: 1 } } });
    const task = app.task({ name: 'task', queue: 'slow', run: async () => 1 });
    const starting = app.worker().start();
    await pause(500);
    await redis.restart();
    await starting;
    expect(await (await task.applyAsync(undefined, { sendTimeout: '5s' })).get(soon)).toBe(1);
  });

  test('a wait ends when its time is over', async () => {
    const app = open();
    const result: AsyncResult<number> = await numbered(app, []).delay(1);
    redis.freeze();
    const startedAt = performance.now();
    await expect(result.get({ timeout: 200 })).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(performance.now() - startedAt).toBeLessThan(30_000);
    redis.thaw();
  });

  test('a step that cannot read what came before is not charged', async () => {
    const { chain } = await import('@umbel/canvas');
    const seen: [number, number][] = [];
    const app = open({ sendTimeout: '1s' });
    const task = numbered(app, seen);
    const result = await chain(task, task, task).delay(7);
    await app.worker({ lockDuration: '3s' }).start();
    await redis.kill();
    await pause(300);
    await redis.restart();
    expect(await result.get(soon)).toBe(7);
    expect(seen.filter(([, attempt]) => attempt > 1)).toEqual([]);
  });
});
