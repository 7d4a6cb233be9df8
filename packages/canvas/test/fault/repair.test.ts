/** Damage that neither Umbel nor BullMQ does, and its repair (W25). */
import { chain, group } from '@umbel/canvas';
import { type App, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest';
import { toolbox } from '../support/toolbox.js';

const soon = { timeout: '15s' } as const;

let redis: Redis;
let app: App;
let told: string[];

beforeEach(() => {
  told = [];
  const warn = (message: unknown) => void told.push(String(message));
  redis = new Redis(inject('redisUrl'));
  app = createApp({
    name: `repair-${crypto.randomUUID()}`,
    connection: inject('redisUrl'),
    logger: { info() {}, warn, error() {} },
  });
});

afterEach(async () => {
  await app.close();
  for (const key of await redis.keys(`umbel:{${app.name}}:*`)) await redis.del(key);
  redis.disconnect();
});

const key = (queue: string, name: string) => `umbel:{${app.name}}:${queue}:${name}`;
const worker = () => app.worker({ lockDuration: '1s', repairInterval: false }).start();

test('a run that nothing is wrong with is left alone', async () => {
  const { double } = toolbox(app);
  const run = await chain(double, double, double).delay(1);
  expect(await app.repair()).toEqual({ checked: 3, started: 0, lost: 0, ended: 0 });
  await worker();
  expect(await run.get(soon)).toBe(8);
});

test('a step that waits for nothing is started, and its run ends', async () => {
  const { double } = toolbox(app);
  const run = await chain(double, double).delay(1);
  const first = `${run.id}.0-0`;
  await redis.srem(key('default', `${run.id}.0:dependencies`), key('default', first));
  await redis.lrem(key('default', 'wait'), 1, first);
  await redis.del(key('default', first));
  expect((await app.diagnose()).stuck).toMatchObject({ started: 1 });
  expect(await app.repair()).toMatchObject({ started: 1 });
  await worker();
  await expect(run.get(soon)).rejects.toMatchObject({ cause: { code: 'LOST_JOB' } });
});

test('a step whose record is gone fails its run, and the steps beside it end', async () => {
  const { double, runs } = toolbox(app);
  const run = await group.settled([double.si(1), double.si(2)]).delay();
  const gone = `${run.id}.0.0`;
  await redis.lrem(key('default', 'wait'), 1, gone);
  await redis.del(key('default', gone));
  await worker();
  await vi.waitFor(() => expect(runs).toHaveLength(1), { timeout: 5000 });
  expect((await app.diagnose()).stuck).toMatchObject({ lost: 1 });
  expect(await app.repair()).toMatchObject({ lost: 1 });
  expect(await run.get(soon)).toMatchObject([
    {
      ok: false,
      error: { error: { message: expect.stringContaining('its record is gone from the store') } },
    },
    { ok: true, value: 4 },
  ]);
});

test('a step that has completed and is still waited for hands its result on', async () => {
  const { double, hold, signals } = toolbox(app);
  const run = await group([double.si(3), hold.si(5)]).delay();
  await worker();
  const parent = key('umbel', run.id);
  const child = key('default', `${run.id}.0.0`);
  await vi.waitFor(async () => expect(await redis.hexists(`${parent}:processed`, child)).toBe(1), {
    timeout: 5000,
  });
  await redis.hdel(`${parent}:processed`, child);
  await redis.sadd(`${parent}:dependencies`, child);
  signals.emit('release');
  await vi.waitFor(async () => expect(await redis.scard(`${parent}:dependencies`)).toBe(1), {
    timeout: 5000,
  });
  expect(await app.repair()).toMatchObject({ ended: 1 });
  expect(await run.get(soon)).toEqual([6, 5]);
});

test('a step that has failed and is still waited for fails its run', async () => {
  const { double, fail } = toolbox(app);
  const run = await chain(fail.si(1), double).delay();
  await worker();
  const parent = key('default', `${run.id}.0`);
  const child = key('default', `${run.id}.0-0`);
  await expect(run.get(soon)).rejects.toThrow('it went wrong');
  // As it was before its failure was told: the run, its step and what the step waits for.
  for (const [queue, id] of [
    ['umbel', run.id],
    ['default', `${run.id}.0`],
  ] as const) {
    await redis.zrem(key(queue, 'failed'), id);
    await redis.zadd(key(queue, 'waiting-children'), 1, id);
    await redis.hdel(key(queue, id), 'finishedOn', 'failedReason');
  }
  await redis.hdel(`${key('umbel', run.id)}:failed`, parent);
  await redis.sadd(`${key('umbel', run.id)}:dependencies`, parent);
  await redis.hdel(`${parent}:failed`, child);
  await redis.sadd(`${parent}:dependencies`, child);
  expect(await app.repair()).toMatchObject({ ended: 1 });
  await expect(run.get(soon)).rejects.toMatchObject({ name: 'TaskFailedError' });
});

test('a worker repairs by itself, counts it, and tells the logger', async () => {
  const { double } = toolbox(app);
  const run = await chain(double, double).delay(1);
  const first = `${run.id}.0-0`;
  await redis.lrem(key('default', 'wait'), 1, first);
  await redis.del(key('default', first));
  const repairing = await app.worker({ lockDuration: '1s', repairInterval: '1s' }).start();
  await expect(run.get(soon)).rejects.toMatchObject({ name: 'TaskFailedError' });
  await vi.waitFor(() => expect(repairing.repairs).toMatchObject({ lost: 1 }), { timeout: 5000 });
  expect(told.join()).toContain('repaired jobs that waited for what would never come');
});

test('flows of other programs are left alone', async () => {
  const { FlowProducer } = await import('bullmq');
  toolbox(app);
  const flows = new FlowProducer({
    connection: { url: inject('redisUrl') },
    prefix: `umbel:{${app.name}}`,
  });
  const { job } = await flows.add({
    name: 'theirs',
    queueName: 'default',
    children: [{ name: 'child', queueName: 'elsewhere', opts: { jobId: 'child' } }],
  });
  await redis.del(key('elsewhere', 'child'));
  expect(await app.repair()).toEqual({ checked: 0, started: 0, lost: 0, ended: 0 });
  expect(await job.getState()).toBe('waiting-children');
  await flows.close();
});
