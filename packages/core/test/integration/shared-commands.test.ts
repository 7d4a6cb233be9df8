/** Commands of the same moment, which a store may run as one: each has its own effect and its own error. */
import { randomUUID } from 'node:crypto';
import { createApp } from '@umbel/core';
import { FlowProducer, type Job, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { onEveryEngine } from '../../../../test/engines.js';
import { startRedis } from '../../../../test/support/redis-server.js';
import { batchesCommands } from '../../src/store/engine/redis/batching/batched-backend.js';

onEveryEngine('commands of the same moment', (engine) => {
  const opened: { close(): Promise<unknown> }[] = [];

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((part) => part.close()));
  });

  async function open() {
    const app = engine.app();
    const { options, factory: bare } = engine.connection();
    const factory: typeof bare = (...args) => {
      const backend = bare(...args);
      batchesCommands(backend); // only Redis's
      return backend;
    };
    const shared = { connection: options, prefix: `umbel:{${app.name}}` };
    const queue = new Queue('jobs', shared, factory);
    const flows = new FlowProducer(shared, factory);
    const hand = new Worker('jobs', null, { ...shared, autorun: false, lockDuration: 30_000 }, factory);
    opened.push(queue, flows, hand);
    await Promise.all([queue.waitUntilReady(), hand.waitUntilReady()]);
    const claim = async (count: number) => {
      const tokens = Array.from({ length: count }, (_, index) => `${randomUUID()}:${index}`);
      const claimed = await Promise.all(tokens.map((token) => hand.getNextJob(token)));
      return claimed.filter((job) => job !== undefined) as Job[];
    };
    const add = (ids: readonly string[], more = {}) =>
      Promise.all(ids.map((jobId) => queue.add('job', { of: jobId }, { jobId, ...more })));
    return { queue, flows, claim, add };
  }

  const names = (count: number) =>
    Array.from({ length: count }, (_, index) => `j${String(index).padStart(2, '0')}`);

  test('add every job once, also two with the same id', async () => {
    const { queue, add } = await open();
    const added = await add(['a', 'b', 'a', 'c']);
    expect(added.map(({ id }) => id)).toEqual(['a', 'b', 'a', 'c']);
    expect(await queue.getJobCountByTypes('wait')).toBe(3);
  });

  test('add jobs without ids under new ones', async () => {
    const { queue } = await open();
    const added = await queue.addBulk(['a', 'b'].map((of) => ({ name: 'job', data: { of } })));
    expect(new Set(added.map(({ id }) => id)).size).toBe(2);
    const stored = await Promise.all(added.map(({ id = '' }) => queue.getJob(id)));
    expect(stored.map((job) => job?.data.of)).toEqual(['a', 'b']);
  });

  test('hand out every job once, the oldest first', async () => {
    const { queue, claim } = await open();
    const ids = names(10);
    await queue.addBulk(ids.map((jobId) => ({ name: 'job', data: { of: jobId }, opts: { jobId } })));
    const first = await claim(4);
    expect(first.map(({ id }) => id).sort()).toEqual(ids.slice(0, 4));
    expect(first.map(({ data }) => data.of).sort()).toEqual(ids.slice(0, 4));
    const rest = await claim(9);
    expect(rest.map(({ id }) => id).sort()).toEqual(ids.slice(4));
    expect(await queue.getActiveCount()).toBe(10);
  });

  test('hand out no more jobs than a limit lets run, and none of a paused queue', async () => {
    const { queue, claim, add } = await open();
    await queue.setGlobalConcurrency(2);
    await add(names(5));
    expect(await claim(4)).toHaveLength(2);
    await queue.removeGlobalConcurrency();
    await queue.pause();
    expect(await claim(4)).toHaveLength(0);
    await queue.resume();
    expect(await claim(4)).toHaveLength(3);
  });

  test('complete the jobs that their callers hold; the others get their own errors', async () => {
    const { queue, claim, add } = await open();
    await add(names(4));
    const [first, second, third, fourth] = await claim(4);
    await third?.moveToCompleted('before', third.token ?? '', false);
    const ends = await Promise.allSettled([
      first?.moveToCompleted({ deep: ['value'] }, first.token ?? '', false),
      second?.moveToCompleted('stolen', 'of somebody else', false),
      third?.moveToCompleted('again', third.token ?? '', false),
      fourth?.moveToCompleted(4, fourth.token ?? '', false),
    ]);
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    const states = await Promise.all([first, second, third, fourth].map((job) => job?.getState()));
    expect(states).toEqual(['completed', 'active', 'completed', 'completed']);
    expect((await queue.getJob(first?.id ?? ''))?.returnvalue).toEqual({ deep: ['value'] });
    expect((await queue.getJob(third?.id ?? ''))?.returnvalue).toBe('before');
  });

  test('that end the members of a group start its parent when the last one has ended', async () => {
    const { queue, flows, claim } = await open();
    const children = names(12).map((jobId, n) => ({
      name: 'member',
      queueName: 'jobs',
      data: n,
      opts: { jobId },
    }));
    await flows.add({ name: 'parent', queueName: 'jobs', data: {}, children, opts: { jobId: 'parent' } });
    const members = await claim(12);
    const end = (job: Job) => job.moveToCompleted(job.data * 10, job.token ?? '', false);
    await Promise.all(members.slice(0, 11).map(end));
    expect(await queue.getJobState('parent')).toBe('waiting-children');
    const next = (await members[11]?.moveToCompleted(110, members[11].token ?? '', true)) as unknown[];
    expect(next[1]).toBe('parent');
    const parent = await queue.getJob('parent');
    expect(Object.values((await parent?.getChildrenValues()) ?? {}).sort((a, b) => a - b)).toEqual(
      names(12).map((_, n) => n * 10),
    );
  });

  test('that end jobs while none waits find the job that one of them releases', async () => {
    const { queue, flows, claim } = await open();
    const flow = (jobId: string, ids: readonly string[]) => ({
      name: 'parent',
      queueName: 'jobs',
      opts: { jobId },
      children: ids.map((id) => ({ name: 'job', queueName: 'jobs', data: {}, opts: { jobId: id } })),
    });
    await flows.add(flow('waits', ['a', 'b', 'c', 'd', 'held']));
    await flows.add(flow('released', ['last']));
    const claimed = await claim(6);
    const ended = ['a', 'b', 'last', 'c', 'd'].map((id) => claimed.find((job) => job.id === id));
    const answers = (await Promise.all(
      ended.map((job) => job?.moveToCompleted(1, job.token ?? '', true)),
    )) as unknown[][];
    const next = answers.map((answer) => answer?.[1] || undefined); // PostgreSQL: an empty text for none
    expect(next.filter((id) => typeof id === 'string')).toEqual(['released']);
    expect(await queue.getJobState('released')).toBe('active');
  });

  test('keep texts that a database refuses', async () => {
    const { queue, flows, add } = await open();
    const data = { text: 'nul \u0000, half of a pair \ud800' };
    await Promise.all([add(['alone']), queue.add('job', data, { jobId: 'one' })]);
    await queue.addBulk([{ name: 'job', data, opts: { jobId: 'many' } }]);
    await flows.add({
      name: 'job',
      queueName: 'jobs',
      data,
      opts: { jobId: 'parent' },
      children: [{ name: 'job', queueName: 'jobs', data, opts: { jobId: 'child' } }],
    });
    const stored = await Promise.all(['one', 'many', 'parent', 'child'].map((id) => queue.getJob(id)));
    expect(stored.map((job) => job?.data)).toEqual([data, data, data, data]);
  });

  test('add a flow of which a job is already there', async () => {
    const { queue, flows, claim, add } = await open();
    await add(['shared']);
    const [shared] = await claim(1);
    await shared?.moveToCompleted('done', shared.token ?? '', false);
    const child = (jobId: string) => ({ name: 'job', queueName: 'jobs', data: {}, opts: { jobId } });
    await flows.add({
      name: 'parent',
      queueName: 'jobs',
      opts: { jobId: 'p' },
      children: [child('shared'), child('new')],
    });
    expect(await queue.getJobState('p')).toBe('waiting-children');
    const [added] = await claim(2);
    expect(added?.id).toBe('new');
    await added?.moveToCompleted('too', added.token ?? '', false);
    expect(await queue.getJobState('p')).toBe('waiting');
    expect(Object.values((await (await queue.getJob('p'))?.getChildrenValues()) ?? {}).sort()).toEqual([
      'done',
      'too',
    ]);
  });
});

test('on Redis, they do once what is the same for all of them', async () => {
  const redis = await startRedis();
  const app = createApp({
    name: 'once',
    connection: redis.url,
    logger: { info() {}, warn() {}, error() {} },
  });
  const client = new Redis(redis.url);
  const calls = async () => {
    const stats = await client.info('commandstats');
    return (name: string) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0);
  };
  try {
    const task = app.task({ name: 'task', run: async () => {} });
    await (await task.delay()).state();
    await client.config('RESETSTAT');
    const results = await Promise.all(Array.from({ length: 256 }, () => task.delay()));
    const sent = await calls();
    expect(sent('hmset')).toBe(256); // a record for each job
    for (const name of ['hget', 'hmget', 'zadd']) expect(sent(name)).toBeLessThanOrEqual(20);
    await client.config('RESETSTAT');
    await app.worker({ concurrency: 64 }).start();
    await Promise.all(results.map((result) => result.get()));
    const run = await calls();
    expect(run('zadd')).toBeGreaterThanOrEqual(257); // of completed jobs
    expect(run('zadd')).toBeLessThan(257 + 128);
    for (const name of ['xtrim', 'zrangebyscore']) expect(run(name)).toBeLessThan(128);
  } finally {
    await app.close();
    client.disconnect();
    await redis.stop();
  }
});
