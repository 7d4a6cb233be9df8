/** Damage that neither Umbel nor BullMQ does, and its repair (W25). */
import { chain, fallback, group } from '@umbel/canvas';
import { type App, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { toolbox } from '../support/toolbox.js';

const soon = { timeout: '50s' } as const;

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

/** A call that waits for what its handler has put in its place. */
async function replacedCall(countdown: number) {
  const { double } = toolbox(app);
  const swap = app.task({
    name: 'swap',
    input: z.number(),
    run: async (n, ctx): Promise<number> => ctx.replace(double.set({ countdown }), n),
  });
  const call = await swap.delay(3);
  await worker();
  await vi.waitFor(async () => expect(await call.state()).toBe('waiting-children'), { timeout: 5000 });
  const added = `${call.id}.~`;
  await redis.srem(key('default', `${call.id}:dependencies`), key('default', added));
  return { call, added, starts: async () => Number(await redis.hget(key('default', call.id), 'ats')) };
}

test('a call that has lost its link to what stands in its place is linked again, and nothing spins', async () => {
  const { call, starts } = await replacedCall(1500);
  expect(await app.repair()).toMatchObject({ started: 1 });
  expect(await call.get(soon)).toBe(6);
  expect(await starts()).toBeLessThan(6);
});

test('a call of which what stands in its place is gone fails as lost, and nothing spins', async () => {
  const { call, added, starts } = await replacedCall(3_600_000);
  await redis.zrem(key('default', 'delayed'), added);
  await redis.del(key('default', added));
  expect(await app.repair()).toMatchObject({ started: 1 });
  await expect(call.get(soon)).rejects.toMatchObject({ cause: { code: 'LOST_JOB' } });
  expect(await starts()).toBeLessThan(6);
});

test('a call that was not told how what stands in its place has failed fails with it', async () => {
  const { fail } = toolbox(app);
  const swap = app.task({
    name: 'swap',
    input: z.number(),
    run: async (n, ctx): Promise<number> => ctx.replace(fail.set({ countdown: 700 }), n),
  });
  const call = await swap.delay(3);
  await worker();
  await vi.waitFor(async () => expect(await call.state()).toBe('waiting-children'), { timeout: 5000 });
  const added = `${call.id}.~`;
  const dependencies = key('default', `${call.id}:dependencies`);
  await redis.srem(dependencies, key('default', added));
  await redis.hdel(key('default', added), 'parentKey', 'parent');
  await vi.waitFor(async () => expect(await app.result(added).state()).toBe('failed'), { timeout: 5000 });
  expect(await app.repair()).toMatchObject({ started: 1 });
  await expect(call.get(soon)).rejects.toMatchObject({ task: 'fail', cause: { name: 'Boom' } });
});

test('the other step of a fallback that has lost its link fails as lost, and nothing spins', async () => {
  const { fail, double } = toolbox(app);
  const run = await fallback(fail, double.si(1).set({ countdown: 3_600_000 })).delay(1);
  await worker();
  const other = `${run.id}.0^b`;
  await vi.waitFor(async () => expect(await app.result(other).state()).toBe('delayed'), { timeout: 5000 });
  // The fallback adds the step, and then waits for it.
  const waits = () => redis.zscore(key('umbel', 'waiting-children'), `${run.id}.0`);
  await vi.waitFor(async () => expect(await waits()).not.toBeNull(), { timeout: 5000 });
  await redis.srem(key('umbel', `${run.id}.0:dependencies`), key('default', other));
  expect(await app.repair()).toMatchObject({ started: 1 });
  await expect(run.get(soon)).rejects.toMatchObject({ cause: { code: 'LOST_JOB' } });
  expect(Number(await redis.hget(key('umbel', `${run.id}.0`), 'ats'))).toBeLessThan(10);
});

test('a group that has enough ends though the job that adds its members is gone', async () => {
  const { double, hold, signals, count } = toolbox(app);
  const run = await chain(hold, group.any([double, double.set({ countdown: 3_600_000 })])).delay(1);
  await worker();
  await vi.waitFor(() => expect(count('hold')).toBe(1), { timeout: 5000 });
  const join = `${run.id}.0`;
  const fan = `${join}-fan`;
  signals.emit('release');
  await expect(run.get(soon)).resolves.toBe(2);
  // As if the store had lost that the fan-out had ended: the join has its winner, and no word of who adds the others.
  await redis.hdel(`${key('umbel', join)}:processed`, key('umbel', fan));
  await redis.del(key('umbel', fan));
  for (const id of [join, run.id]) {
    await redis.zrem(key('umbel', 'completed'), id);
    await redis.hdel(key('umbel', id), 'finishedOn', 'returnvalue');
  }
  await redis.zadd(key('umbel', 'waiting-children'), 1, run.id);
  await redis.hdel(`${key('umbel', run.id)}:processed`, key('umbel', join));
  await redis.sadd(`${key('umbel', run.id)}:dependencies`, key('umbel', join));
  await redis.lpush(key('umbel', 'wait'), join);
  await redis.zadd(key('umbel', 'marker'), 0, '0');
  await expect(run.get(soon)).resolves.toBe(2);
  expect(Number(await redis.hget(key('umbel', join), 'ats'))).toBeLessThan(10);
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
  expect(told.join()).toContain('repaired jobs that waited for nothing');
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
