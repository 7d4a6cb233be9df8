import { setTimeout as pause } from 'node:timers/promises';
import { chain } from '@umbel/canvas';
import { type App, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { callsOf } from '../../../../test/support/redis-use.js';
import { postponeJob } from '../../src/store/revoke.js';
import { openStore } from '../support/open-store.js';

const HOUR_MS = 3_600_000;
const soon = { timeout: '50s' } as const;
const quiet = { info() {}, warn() {}, error() {} };
const apps: App[] = [];
const told: string[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  const redis = new Redis(inject('redisUrl'));
  const names = apps.map((app) => app.name);
  await Promise.all(apps.splice(0).map((app) => app.close()));
  for (const name of names) for (const key of await redis.keys(`umbel:{${name}}:*`)) await redis.del(key);
  redis.disconnect();
});

function open(name: string, connection = inject('redisUrl')) {
  const warn = (message: unknown) => void told.push(String(message));
  const app = createApp({ name, connection, sendTimeout: '20s', logger: { info() {}, warn, error() {} } });
  apps.push(app);
  return { app, task: app.task({ name: 'task', input: z.number(), run: async (n) => n }) };
}

/** From now on this process believes that it is so much later. */
function shiftClock(ms: number): void {
  const real = Date.now;
  vi.spyOn(Date, 'now').mockImplementation(() => real() + ms);
}

const anHourOff = test.each([HOUR_MS, -HOUR_MS]);

/** Names that no other test uses. */
const newName = () => `clock-${crypto.randomUUID()}`;

describe('a worker whose clock is wrong', () => {
  test.each([HOUR_MS, -HOUR_MS])('starts delayed jobs when they are due: %i ms', async (offset) => {
    const name = `clock-${crypto.randomUUID()}`;
    const sender = open(name);
    const later = await sender.task.applyAsync(1, { countdown: '30m' });
    const due = await sender.task.applyAsync(2, { countdown: 50 });
    told.length = 0;
    shiftClock(offset);
    const { app } = open(name);
    await app.worker().start();
    expect(await due.get(soon)).toBe(2);
    expect(await (await sender.task.delay(3)).get(soon)).toBe(3);
    expect(await later.state()).toBe('delayed');
    expect(told.join()).toContain(`is 3600 s ${offset > 0 ? 'ahead of' : 'behind'} the store's`);
  });

  test('does not take a call for expired that is not', async () => {
    const name = `clock-${crypto.randomUUID()}`;
    const result = await open(name).task.applyAsync(1, { expires: '10m' });
    shiftClock(HOUR_MS);
    await open(name).app.worker().start();
    expect(await result.get(soon)).toBe(1);
  });
});

describe('a sender whose clock is wrong', () => {
  test.each([HOUR_MS, -HOUR_MS])('delays calls as long as it says: %i ms', async (offset) => {
    const name = `clock-${crypto.randomUUID()}`;
    shiftClock(offset);
    const { task } = open(name);
    const later = await task.applyAsync(1, { countdown: '30m' });
    const due = await task.applyAsync(2, { countdown: 50 });
    vi.restoreAllMocks();
    await open(name).app.worker().start();
    expect(await due.get(soon)).toBe(2);
    expect(await later.state()).toBe('delayed');
  });
});

describe('the first sending of a process whose clock is wrong', () => {
  /** What a worker whose clock is right makes of what was sent. */
  async function served(name: string): Promise<App> {
    vi.restoreAllMocks();
    const { app } = open(name);
    await app.worker().start();
    return app;
  }

  anHourOff('expires when it says: %i ms', async (offset) => {
    const name = newName();
    shiftClock(offset);
    const result = await open(name).task.applyAsync(1, { expires: '10m' });
    const { expiresAt } = (await open(name).app.jobs.get(result.id)) ?? {};
    await served(name);
    expect(await result.get(soon)).toBe(1);
    expect(Math.abs((expiresAt?.getTime() ?? 0) - Date.now() - 600_000)).toBeLessThan(10_000);
  });

  anHourOff('expires as its task says: %i ms', async (offset) => {
    const name = newName();
    shiftClock(offset);
    const app = createApp({ name, connection: inject('redisUrl'), logger: quiet });
    apps.push(app);
    const news = app.task({ name: 'task', input: z.number(), expires: '10m', run: async (n) => n });
    const [result] = await news.sendMany([1]);
    await served(name);
    expect(await result?.get(soon)).toBe(1);
  });

  anHourOff('starts at its `eta`: %i ms', async (offset) => {
    const name = newName();
    const [soonAt, laterAt] = [new Date(Date.now() + 200), new Date(Date.now() + HOUR_MS / 2)];
    shiftClock(offset);
    const due = await open(name).task.applyAsync(1, { eta: soonAt });
    const later = await open(name).task.applyAsync(2, { eta: laterAt });
    const app = await served(name);
    expect(await due.get(soon)).toBe(1);
    const [scheduled] = await app.inspect.scheduled();
    expect(scheduled?.id).toBe(later.id);
    expect(Math.abs((scheduled?.dueAt.getTime() ?? 0) - laterAt.getTime())).toBeLessThan(5000);
  });

  anHourOff('of a composition starts and expires when it says: %i ms', async (offset) => {
    const name = newName();
    const at = new Date(Date.now() + 200);
    shiftClock(offset);
    const { task } = open(name);
    const run = await chain(task, task).applyAsync(1, { eta: at, expires: '10m' });
    await served(name);
    expect(await run.get(soon)).toBe(1);
  });

  anHourOff('with middleware is no other: %i ms', async (offset) => {
    const name = newName();
    shiftClock(offset);
    const middleware = [{ send: (_call: object, next: () => Promise<{ id: string }>) => next() }];
    const app = createApp({ name, connection: inject('redisUrl'), middleware, logger: quiet });
    apps.push(app);
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    const one = await task.applyAsync(1, { expires: '10m' });
    const [two] = await task.sendMany([2], { expires: '10m' });
    await served(name);
    expect([await one.get(soon), await two?.get(soon)]).toEqual([1, 2]);
  });

  test('of an order to workers reaches them', async () => {
    const name = newName();
    const { app } = open(name);
    await app.worker({ name: 'w' }).start();
    shiftClock(-HOUR_MS);
    const { answers, missing } = await open(name).app.control.setConcurrency(3, { timeout: '5s' });
    expect([Object.keys(answers), missing]).toEqual([['w'], []]);
  });

  test.each([30 * HOUR_MS, -30 * HOUR_MS])('finds what bears a tag: %i ms', async (offset) => {
    const name = newName();
    const result = await open(name).task.applyAsync(1, { tags: ['a'] });
    shiftClock(offset);
    const found = async (tag: string) => {
      const ids: string[] = [];
      for await (const { id } of open(name).app.find({ tag })) ids.push(id);
      return ids;
    };
    expect(await found('a')).toEqual([result.id]);
    expect((await open(name).app.jobs.list({ tag: 'a' })).items.map(({ id }) => id)).toEqual([result.id]);
    expect(await open(name).app.revoke({ tag: 'a' })).toBe(1);
    const other = await open(name).task.applyAsync(1, { tags: ['b'] });
    vi.restoreAllMocks();
    expect(await found('b')).toEqual([other.id]);
  });

  test('that needs no time asks the store for nothing more than it did', async () => {
    const server = await startRedis(); // other test files ask the shared one
    onTestFinished(() => server.stop());
    const { app, task } = open(newName(), server.url);
    const admin = new Redis(server.url);
    const calls = () => callsOf(admin, 'info');
    const before = await calls();
    await task.applyAsync(1, { expires: '1h', tags: ['x'] });
    await task.applyAsync(1, { eta: new Date(Date.now() + HOUR_MS) });
    await task.delay(1);
    // One of the client's own when it is ready, one of ours, and those of this look.
    expect(await calls()).toBeLessThanOrEqual(before + 4);
    await app.close();
    admin.disconnect();
  });
});

describe('a process whose clock is set while it runs', () => {
  anHourOff('sends by the time of the store all the same: %i ms', async (offset) => {
    const name = newName();
    const { task, app } = open(name);
    await task.delay(0);
    shiftClock(offset);
    const result = await task.applyAsync(1, { expires: '10m' });
    const later = await task.applyAsync(2, { countdown: '30m' });
    vi.restoreAllMocks();
    const { expiresAt } = (await app.jobs.get(result.id)) ?? {};
    expect(Math.abs((expiresAt?.getTime() ?? 0) - Date.now() - 600_000)).toBeLessThan(10_000);
    const [scheduled] = await app.inspect.scheduled();
    expect(scheduled?.id).toBe(later.id);
    expect(Math.abs((scheduled?.dueAt.getTime() ?? 0) - Date.now() - HOUR_MS / 2)).toBeLessThan(10_000);
  });
});

describe('a sender', () => {
  test('asks for the time of the store again as time goes on, without being waited for', async () => {
    const { task } = open(newName());
    await task.delay(0);
    told.length = 0;
    const [wall, monotonic] = [Date.now, performance.now.bind(performance)];
    // Five minutes have passed here; as none have for the store, its next answer shows this clock ahead of it.
    vi.spyOn(performance, 'now').mockImplementation(() => monotonic() + 301_000);
    vi.spyOn(Date, 'now').mockImplementation(() => wall() + 301_000);
    await task.delay(1);
    await vi.waitFor(() => expect(told.join()).toContain("is 301 s ahead of the store's"));
  });
});

describe('an operator whose clock is wrong', () => {
  anHourOff('counts what there is: %i ms', async (offset) => {
    const name = newName();
    const { task, app: worked } = open(name);
    worked.task({ name: 'bad', run: () => Promise.reject(new Error('bad')) });
    const worker = await worked.worker().start();
    await (await worked.send('bad')).get(soon).catch(() => {});
    await (await task.delay(0)).get(soon);
    await worker.close();
    await task.sendMany([1, 2, 3]);
    await task.applyAsync(4, { countdown: '30m' });
    await task.applyAsync(5, { countdown: '30m' });
    shiftClock(offset);
    const { app } = open(name);
    const counts = { waiting: 3, delayed: 2, active: 0, completed: 1, failed: 1, 'waiting-children': 0 };
    expect(await app.queue('default').counts()).toEqual(counts);
    expect((await app.jobs.counts()).total).toEqual(counts);
    const [queue] = await app.inspect.queues();
    expect(queue?.counts).toEqual(counts);
    expect(queue?.oldestWaitingMs).toBeLessThan(60_000);
  });

  anHourOff('puts a start off by as long as is said: %i ms', async (offset) => {
    const name = newName();
    const later = await open(name).task.applyAsync(1, { countdown: '30m' });
    shiftClock(offset);
    const { app } = open(name);
    const store = openStore(name, inject('redisUrl'));
    await postponeJob(store, { queue: 'default', id: later.id }, 60_000);
    await store.close();
    vi.restoreAllMocks();
    const redis = new Redis(inject('redisUrl'));
    const score = Number(await redis.zscore(`umbel:{${name}}:default:delayed`, later.id));
    redis.disconnect();
    expect(Math.abs(score / 0x1000 - Date.now() - 60_000)).toBeLessThan(10_000);
    await app.close();
  });
});

describe('repair', () => {
  const noted = async (name: string) => {
    const redis = new Redis(inject('redisUrl'));
    const at = await redis.hget(`umbel:{${name}}:default:meta`, 'umbel:repair');
    redis.disconnect();
    return at === null ? undefined : Number(at);
  };

  anHourOff('notes by the time of the store when a queue was looked at: %i ms', async (offset) => {
    const name = newName();
    shiftClock(offset);
    await open(name).app.worker({ repairInterval: '1s' }).start();
    await vi.waitFor(async () => expect(await noted(name)).toBeDefined(), { timeout: 10_000 });
    vi.restoreAllMocks();
    expect(Math.abs(((await noted(name)) ?? 0) - Date.now())).toBeLessThan(10_000);
  });

  test('is not put off by a moment that a wrong clock has noted', async () => {
    const name = newName();
    const { app, task } = open(name);
    const run = await chain(task, task).delay(1);
    const redis = new Redis(inject('redisUrl'));
    const key = (last: string) => `umbel:{${name}}:default:${last}`;
    await redis.srem(key(`${run.id}.0:dependencies`), key(`${run.id}.0-0`));
    await redis.lrem(key('wait'), 1, `${run.id}.0-0`);
    await redis.del(key(`${run.id}.0-0`));
    await redis.hset(key(`${run.id}.0`), 'timestamp', Date.now() - HOUR_MS); // not one that is being stored
    await redis.hset(key('meta'), 'umbel:repair', Date.now() + HOUR_MS);
    redis.disconnect();
    await app.worker({ repairInterval: '1s' }).start();
    await expect(run.get(soon)).rejects.toMatchObject({ cause: { code: 'LOST_JOB' } });
  });
});

describe('a job of a worker whose clock is wrong', () => {
  anHourOff('keeps its lock while it runs: %i ms', async (offset) => {
    const name = newName();
    const sender = open(name);
    shiftClock(offset);
    const { app } = open(name);
    let end = () => {};
    const mayEnd = new Promise<void>((resolve) => {
      end = resolve;
    });
    let starts = 0;
    app.task({
      name: 'long',
      run: async () => {
        starts += 1;
        await mayEnd;
        return starts;
      },
    });
    await app.worker({ lockDuration: '2s' }).start();
    await sender.app.worker({ lockDuration: '2s', queues: ['default'] }).start(); // its sweeps find lost locks
    const redis = new Redis(inject('redisUrl'));
    const result = await sender.app.send('long');
    const lock = `umbel:{${name}}:default:${result.id}:lock`;
    await vi.waitFor(() => expect(starts).toBe(1));
    const until = performance.now() + 5000;
    let isLost = false;
    while (performance.now() < until) {
      isLost ||= (await redis.exists(lock)) === 0;
      await pause(50);
    }
    redis.disconnect();
    expect(isLost).toBe(false);
    end();
    expect(await result.get(soon)).toBe(1);
  });
});

describe('a Redis that does not answer for a while', () => {
  let redis: RedisServer;

  afterEach(async () => {
    redis.thaw();
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await redis.stop();
  });

  /** When a delayed job starts, by the clock of this machine, which is the store's. */
  async function dueIn(name: string, id: string): Promise<number> {
    const admin = new Redis(redis.url);
    const score = Number(await admin.zscore(`umbel:{${name}}:default:delayed`, id));
    admin.disconnect();
    return score / 0x1000 - Date.now();
  }

  test('while a sender connects has it take no clock for wrong', async () => {
    redis = await startRedis();
    const name = newName();
    const { task } = open(name, redis.url);
    told.length = 0;
    redis.freeze();
    const sending = task.applyAsync(1, { eta: new Date(Date.now() + 60_000) });
    await pause(5000);
    redis.thaw();
    const first = await sending;
    const second = await task.applyAsync(2, { countdown: '1m' });
    expect(Math.abs((await dueIn(name, second.id)) - 60_000)).toBeLessThan(2000);
    expect(Math.abs((await dueIn(name, first.id)) - 55_000)).toBeLessThan(2000);
    expect(told).toEqual([]);
  });

  test('and is restarted has nobody take a clock for wrong', async () => {
    redis = await startRedis('redis-server', { durable: true });
    const name = newName();
    const { app, task } = open(name, redis.url);
    await app.worker({ repairInterval: '1s' }).start(); // before each look it asks for the time
    await (await task.delay(1)).get(soon);
    told.length = 0;
    await redis.kill();
    const sending = task.applyAsync(2, { expires: '10m' });
    await pause(5000);
    await redis.restart();
    expect(await (await sending).get(soon)).toBe(2);
    expect(told.filter((message) => message.includes('clock'))).toEqual([]);
    expect((await app.diagnose()).store?.clockOffsetMs).toBeLessThan(1000);
  });
});
