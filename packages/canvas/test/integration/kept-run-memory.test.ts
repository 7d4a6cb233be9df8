/** What Redis stores of a run that has ended and is kept. */
import { createApp } from '@umbel/core';
import { createRedisBackend, Queue, type RedisQueueBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { expect, inject, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { startRedis } from '../../../../test/support/redis-server.js';
import { compactionIn } from '../../../core/src/store/primitives/ended-jobs.js';
import { chain, group } from '../../src/index.js';

const patience = { timeout: 30_000, interval: 20 };
const number = z.object({ n: z.number(), note: z.string().optional() });

/** An app with a worker and a few tasks; `keys` has the encodings of the keys of a run. */
async function start(url = inject('redisUrl')) {
  const logger = { info() {}, warn() {}, error() {} };
  const app = createApp({ name: `kept-${crypto.randomUUID().slice(0, 8)}`, connection: url, logger });
  const redis = new Redis(url);
  const prefix = `umbel:{${app.name}}`;
  const queue = new Queue('default', { connection: { url }, prefix });
  const internal = new Queue('umbel', { connection: { url }, prefix });
  onTestFinished(async () => {
    await Promise.all([app.close(), queue.close(), internal.close()]);
    const keys = await redis.keys(`${prefix}:*`);
    if (keys.length > 0) await redis.unlink(keys);
    redis.disconnect();
  });
  const increment = app.task({
    name: 'increment',
    input: number,
    output: number,
    run: async ({ n, ...rest }) => ({ ...rest, n: n + 1 }),
  });
  const fail = app.task({
    name: 'fail',
    input: z.number(),
    retry: { attempts: 1 },
    run: async (n) => {
      if (n < 0) throw new Error('it went wrong');
      return n;
    },
  });
  await app.worker({ heartbeat: false }).start();
  const keysOf = async (id: string) =>
    (await redis.keys(`${prefix}:*`)).filter((key) => key.includes(id)).sort();
  const record = (id: string) => redis.hgetall(`${prefix}:default:${id}`);
  return { app, redis, prefix, queue, internal, increment, fail, keysOf, record };
}

test('of three steps it is small: all of it is packed but the record with its name', async () => {
  const { redis, prefix, increment, keysOf } = await start();
  const result = await chain(increment.s({ n: 0 }), increment, increment).delay();
  expect(await result.get()).toEqual({ n: 3 });
  await vi.waitFor(async () => {
    const stored = await Promise.all(
      (await keysOf(result.id)).map(async (key) => ({
        key: key.slice(`${prefix}:`.length).replace(result.id, 'id'),
        encoding: await redis.object('ENCODING', key),
        bytes: Number(await redis.memory('USAGE', key, 'SAMPLES', 0)),
      })),
    );
    const packed = stored.filter(({ encoding }) => encoding === 'listpack').map(({ key }) => key);
    expect(packed.sort()).toEqual([
      'default:id.0',
      'default:id.0-0',
      'default:id.0-1',
      'default:id.0-1:processed',
      'default:id.0:processed',
      'umbel:id:processed',
    ]);
    expect(stored.length).toBe(7);
    expect(stored.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(3000);
  }, patience);
});

test('loses nothing that can be read, by Umbel or by BullMQ, and goes as a whole', async () => {
  const { app, queue, increment, keysOf, record } = await start();
  const note = 'x'.repeat(100);
  const result = await chain(increment.s({ n: 0, note }), increment).delay();
  const before = await record(`${result.id}.0-0`);
  expect(await result.get()).toEqual({ n: 2, note });
  await vi.waitFor(async () => {
    for (const step of ['0', '0-0']) expect((await record(`${result.id}.${step}`)).parent).toBeUndefined();
  }, patience);
  const after = await record(`${result.id}.0-0`);
  const { parent: _, ...kept } = before;
  expect(after).toMatchObject({ ...kept, returnvalue: JSON.stringify({ n: 1, note }), atm: '1' });
  const job = await queue.getJob(`${result.id}.0-0`);
  expect(await job?.getState()).toBe('completed');
  expect(job?.data).toMatchObject({ run: result.id, input: { n: 0, note } });
  expect(job?.parentKey).toBe(before.parentKey);
  const run = app.result(increment, result.id);
  expect((await result.counts()).completed).toBe(2);
  expect(await app.result(increment, `${result.id}.0-0`).get()).toEqual({ n: 1, note });
  await run.forget();
  expect(await keysOf(result.id)).toEqual([]);
});

test('keeps the records of failed members as they are', async () => {
  const { increment, fail, record } = await start();
  const result = await group.settled([increment.si({ n: 0 }), fail.si(-1)]).delay();
  expect((await result.get()).map(({ ok }) => ok)).toEqual([true, false]);
  await vi.waitFor(async () => {
    expect((await record(`${result.id}.0.0`)).parent).toBeUndefined();
  }, patience);
  expect((await record(`${result.id}.0.1`)).parent).toContain('idof');
});

const compacting = (backend: unknown) => compactionIn(backend as RedisQueueBackend);

test('is not touched before it has completed', async () => {
  const { app, internal, increment, fail, record } = await start();
  const result = await chain(increment.s({ n: 0 }), fail.si(-1)).delay();
  expect((await result.outcome()).ok).toBe(false);
  const before = await record(`${result.id}.0-0`);
  expect(before.parent).toBeDefined();
  expect(await compacting(internal.getBackend())?.compactJobs({ runs: [result.id], keys: [] })).toEqual([]);
  expect(await record(`${result.id}.0-0`)).toEqual(before);
  expect(await app.result(increment, `${result.id}.0-0`).get()).toEqual({ n: 1 });
});

test('stays as it is while Redis is full', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const prefix = 'umbel:{full}';
  const redis = new Redis(server.url);
  const connection = { url: server.url };
  const internal = new Queue('umbel', { connection, prefix }, createRedisBackend);
  onTestFinished(async () => {
    await internal.close();
    redis.disconnect();
  });
  await internal.waitUntilReady();
  const step = {
    name: 'step',
    data: '{}',
    parent: JSON.stringify({ id: 'run', queueKey: 'x'.repeat(60) }),
    finishedOn: '1',
  };
  await redis.zadd(`${prefix}:umbel:completed`, 1, 'run');
  await redis.hset(`${prefix}:umbel:step`, step);
  await redis.config('SET', 'maxmemory', '1');
  const compact = () =>
    compacting(internal.getBackend())?.compactJobs({ runs: ['run'], keys: [`${prefix}:umbel:step`] });
  await expect(compact()).rejects.toThrow(/OOM/);
  expect(await redis.hgetall(`${prefix}:umbel:step`)).toEqual(step);
  await redis.config('SET', 'maxmemory', '0');
  expect(await compact()).toEqual([]);
  const { parent: _, ...rest } = step;
  expect(await redis.hgetall(`${prefix}:umbel:step`)).toEqual(rest);
});
