/** A worker whose Redis goes and comes back: it must not live on without taking jobs. */
import { setTimeout as pause } from 'node:timers/promises';
import { type App, type AppWorker, createApp } from '@umbel/core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';

const soon = { timeout: '50s' } as const;

describe('a worker whose Redis is restarted', () => {
  let redis: RedisServer;
  let app: App;
  let worker: AppWorker;
  let running = 0;

  beforeEach(async () => {
    redis = await startRedis(undefined, { durable: true });
    app = createApp({
      name: 'reconnect',
      connection: redis.url,
      logger: { info() {}, warn() {}, error() {} },
    });
  });

  afterEach(async () => {
    await app.close();
    await redis.stop();
  });

  const define = (on: App) =>
    on.task({
      name: 'double',
      queue: 'numbers',
      input: z.object({ n: z.number(), ms: z.number().default(0) }),
      run: async ({ n, ms }) => {
        running += 1;
        await pause(ms);
        running -= 1;
        return n * 2;
      },
    });

  /** Long enough that commands that wait for the store give up, or are cut. */
  async function restart(awayMs: number): Promise<void> {
    await redis.kill();
    await pause(awayMs);
    await redis.restart();
  }

  const isReady = () =>
    vi.waitFor(async () => expect(await worker.health()).toMatchObject({ live: true, ready: true }), {
      timeout: 20_000,
      interval: 50,
    });

  test.each([
    ['at once', 0],
    ['after 6 s', 6000],
  ])(
    'takes jobs again: idle, %s',
    async (_, awayMs) => {
      const double = define(app);
      worker = await app.worker({ lockDuration: '5s' }).start();
      expect(await (await double.delay({ n: 1 })).get(soon)).toBe(2);
      await restart(awayMs);
      expect(await (await double.delay({ n: 2 })).get(soon)).toBe(4);
      await isReady();
    },
    300_000,
  );

  test('takes jobs again: while it blocks on an empty queue, again and again', async () => {
    const double = define(app);
    worker = await app.worker({ lockDuration: '5s' }).start();
    for (let n = 0; n < 4; n += 1) {
      await pause(n * 150); // in another moment of its wait each time
      await restart(n * 100);
      expect(await (await double.delay({ n })).get(soon)).toBe(n * 2);
    }
  }, 300_000);

  test('takes jobs again: busy, with every place taken', async () => {
    const double = define(app);
    worker = await app.worker({ concurrency: 3, lockDuration: '5s' }).start();
    const sent = await double.sendMany(Array.from({ length: 30 }, (_, n) => ({ n, ms: 300 })));
    await vi.waitFor(() => expect(running).toBe(3), { timeout: 10_000, interval: 5 });
    await restart(1000);
    const values = await Promise.all(sent.map((result) => result.get({ timeout: '50s' })));
    expect(values).toEqual(Array.from({ length: 30 }, (_, n) => n * 2));
    await isReady();
  }, 300_000);

  test('says that it is not ready while the store is away, and stays live', async () => {
    define(app);
    worker = await app.worker({ health: { port: 0, host: '127.0.0.1' } }).start();
    await redis.kill();
    const answer = await fetch(`http://127.0.0.1:${worker.healthPort}/readyz`);
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { live: true, ready: false, reasons: ['the store does not answer'] },
    ]);
    expect((await fetch(`http://127.0.0.1:${worker.healthPort}/livez`)).status).toBe(200);
    await redis.restart();
    await isReady();
  }, 300_000);

  test('that was started before its Redis takes jobs once that is there', async () => {
    const double = define(app);
    await redis.kill();
    const starting = app.worker().start();
    await pause(500);
    await redis.restart();
    worker = await starting;
    expect(await (await double.delay({ n: 5 })).get(soon)).toBe(10);
  }, 300_000);
});
