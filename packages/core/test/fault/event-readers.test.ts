/** What many readers of events in one process ask of a Redis: as much as one. */
import { setTimeout as pause } from 'node:timers/promises';
import { type App, type AppEvent, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { allCalls } from '../../../../test/support/redis-use.js';
import { collect, count, times } from '../support/collecting.js';

const READERS = 100;

let server: RedisServer;
let redis: Redis;
const apps: App[] = [];

beforeEach(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
});

afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  redis.disconnect();
  await server.stop();
});

function open(): App {
  const app = createApp({
    name: 'readers',
    connection: server.url,
    logger: { info() {}, warn() {}, error() {} },
  });
  apps.push(app);
  return app;
}

const connections = async () =>
  String(await redis.client('LIST'))
    .split('\n')
    .filter(Boolean).length;

const commands = () => allCalls(redis);

test('a hundred readers share one connection, ask nothing at rest, and read the store once', async () => {
  const app = open();
  const task = app.task({ name: 'task', run: async () => null });
  await app.queue('default').counts();
  const before = await connections();
  const all = Array.from({ length: READERS }, (_, n) =>
    app.events(n % 2 === 0 ? {} : { types: ['enqueued'], tasks: ['task'] }),
  );
  const firsts = all.map((events) => events.next());
  await task.delay();
  await Promise.all(firsts);
  // Those who came while the others waited for something else were read for apart, for a moment.
  const nexts = all.map((events) => events.next());
  await vi.waitFor(async () => expect(await connections()).toBe(before + 1), { timeout: 10_000 });
  await pause(300);
  const resting = await commands();
  await pause(2000);
  expect((await commands()) - resting).toBeLessThanOrEqual(2);

  const beforeJob = await commands();
  const { id } = await task.delay();
  for (const { value } of await Promise.all(nexts)) expect(value).toMatchObject({ type: 'enqueued', id });
  expect((await commands()) - beforeJob).toBeLessThan(60);
  await Promise.all(all.map((events) => events.return?.()));
  await vi.waitFor(async () => expect(await connections()).toBe(before), { timeout: 10_000 });
}, 30_000);

test('readers of the whole past read it together', async () => {
  const app = open();
  const task = app.task({ name: 'task', run: async () => null });
  await task.sendMany(Array.from({ length: 2000 }));
  const reading = () => collect(app.events({ from: 'start' }), times('enqueued', 2000));
  const measured = async (readers: number) => {
    const before = await commands();
    await Promise.all(Array.from({ length: readers }, reading));
    return (await commands()) - before;
  };
  const one = await measured(1);
  expect(await measured(20)).toBeLessThan(2 * one + 40);
}, 30_000);

test('a stream that cannot be read fails those who read it, and nobody else', async () => {
  const app = open();
  const task = app.task({ name: 'task', run: async () => null });
  app.task({ name: 'odd', queue: 'odd', run: async () => null });
  const whole = app.events({ types: ['enqueued'] });
  const part = app.events({ types: ['enqueued'], queues: ['default'] });
  const firsts = [whole.next(), part.next()];
  await task.delay();
  await Promise.all(firsts);
  const [ends, goesOn] = [whole.next(), part.next()];
  ends.catch(() => {});
  await redis.del('umbel:{readers}:odd:events');
  await redis.set('umbel:{readers}:odd:events', 'no stream');
  const { id } = await task.delay();
  expect((await goesOn).value).toMatchObject({ id });
  const told: AppEvent[] = [];
  await expect(
    (async () => {
      told.push((await ends).value);
      for await (const event of whole) told.push(event);
    })(),
  ).rejects.toThrow('WRONGTYPE');
  const next = part.next();
  const again = await task.delay();
  expect((await next).value).toMatchObject({ id: again.id });
}, 30_000);

test('a reader that fell behind is told all that happened in an outage', async () => {
  const app = open();
  const task = app.task({ name: 'task', run: async () => null });
  const [slow, fast] = [app.events({ types: ['enqueued'] }), app.events({ types: ['enqueued'] })];
  const firsts = [slow.next(), fast.next()];
  await task.delay();
  await Promise.all(firsts);
  const reading = collect(fast, count(3000));
  for (let n = 0; n < 6; n += 1) await task.sendMany(Array.from({ length: 500 }));
  await reading;
  server.freeze();
  const rest = collect(slow, count(3000));
  await pause(3500); // longer than a read may take
  server.thaw();
  expect(new Set((await rest).map((event) => 'id' in event && event.id)).size).toBe(3000);
}, 40_000);
