/** Events are told once and in order, also by a store that is killed while they are read. */
import { setTimeout as pause } from 'node:timers/promises';
import { type App, type AppEvent, createApp } from '@umbel/core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { collect, times } from '../support/collecting.js';

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

function open(): App {
  const logger = { info() {}, warn() {}, error() {} };
  const app = createApp({ name: 'events', connection: redis.url, queues: ['default', 'odd'], logger });
  apps.push(app);
  return app;
}

/** Without its place, and what is counted by those who were there: a worker may have given the job back uncharged. */
const placeless = (event: AppEvent): string =>
  JSON.stringify({ ...event, position: undefined, attempt: undefined, reason: undefined });

test('a reader goes on after Redis was killed and started again, with each event once and in order', async () => {
  const [app, reader] = [open(), open()];
  const task = app.task({
    name: 'task',
    input: z.number(),
    run: async (n, { progress }) => {
      await progress(n);
      return n;
    },
  });
  const live: AppEvent[] = [];
  const reading = collect(reader.events({ from: 'start' }), (_, event) => {
    live.push(event);
    return times('completed', 300)(live);
  });
  await app.worker({ queues: ['default', 'odd'], concurrency: 5, lockDuration: '3s' }).start();
  const sending = (async () => {
    for (let n = 0; n < 300; n += 1) {
      await task.applyAsync(n, { queue: n % 2 ? 'odd' : 'default', idempotencyKey: `${n}` });
      await pause(3);
    }
  })();
  for (let kills = 1; kills <= 2; kills += 1) {
    await vi.waitFor(() => expect(times('completed', kills * 80)(live)).toBe(true), {
      timeout: 20_000,
      interval: 1,
    });
    await redis.kill();
    await pause(200);
    await redis.restart();
  }
  await sending;
  await reading;
  const all = await collect(open().events({ from: 'start' }), times('completed', 300));
  expect(new Set(live.map(placeless)).size).toBe(live.length);
  expect(live.map(placeless).toSorted()).toEqual(all.map(placeless).toSorted());
  const ofJob = (events: readonly AppEvent[], id: string) =>
    events.filter((event) => 'id' in event && event.id === id).map(placeless);
  for (const id of new Set(all.flatMap((event) => ('id' in event ? event.id : []))))
    expect(ofJob(live, id)).toEqual(ofJob(all, id));
  expect(all.some(({ type }) => type === 'gap')).toBe(false);
});

test('a reader that finds no store says so, and one whose store stands still waits for it', async () => {
  const app = open();
  const task = app.task({ name: 'task', run: async () => null });
  const events = app.events();
  await task.delay();
  expect((await events.next()).value).toMatchObject({ type: 'enqueued' });
  redis.freeze();
  const next = events.next();
  await pause(3500); // longer than a read may take
  redis.thaw();
  await task.delay();
  expect((await next).value).toMatchObject({ type: 'enqueued' });
  await events.return?.();
  const controller = new AbortController();
  const left = app.events({ from: 'start', signal: controller.signal });
  for (let n = 0; n < 2; n += 1) await left.next();
  redis.freeze();
  const ending = left.next();
  controller.abort();
  expect((await ending).done).toBe(true);
  redis.thaw();
  await redis.kill();
  const logger = { info() {}, warn() {}, error() {} };
  const away = createApp({ name: 'events', connection: redis.url, sendTimeout: '300ms', logger });
  apps.push(away);
  await expect(away.events().next()).rejects.toThrow('The store did not answer within 0.3 s');
  await expect(away.events({ from: 'start' }).next()).rejects.toThrow(
    'The store did not answer within 0.3 s',
  );
  await redis.restart();
});
