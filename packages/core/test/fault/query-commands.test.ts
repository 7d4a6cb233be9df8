/** What queries and readers of events ask of a Redis: its sets by place, never all of its keys, and no search in a long list. */
import { chain, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { startRedis } from '../../../../test/support/redis-server.js';
import { callsByCommand } from '../../../../test/support/redis-use.js';
import { collect, count } from '../support/collecting.js';

const soon = { timeout: '50s' } as const;

test('queries and events scan nothing, and look at a bounded number of jobs', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const redis = new Redis(server.url);
  onTestFinished(() => redis.disconnect());
  const app = createApp({ name: 'queries', connection: server.url });
  onTestFinished(() => app.close());
  const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
  const sum = app.task({ name: 'sum', input: z.array(z.number()), run: async (all) => all.length });
  await app.worker({ concurrency: 20 }).start();
  const results = await task.sendMany(
    Array.from({ length: 3000 }, (_, n) => n),
    { tags: ['all'] },
  );
  const run = await chain(task, group([task, task]), sum).applyAsync(1, { tags: ['all'] });
  await Promise.all([...results, run].map((result) => result.get(soon)));
  await app.close();

  const looking = createApp({ name: 'queries', connection: server.url });
  onTestFinished(() => looking.close());
  await redis.call('config', 'resetstat');
  await looking.jobs.list({});
  await looking.jobs.list({ state: 'completed', task: 'nothing' });
  await looking.jobs.list({ state: 'completed', until: new Date(Date.now() - 3_600_000) });
  await looking.jobs.list({ tag: 'all', limit: 10 });
  await looking.jobs.list({ run: run.id });
  await looking.jobs.get(run.id);
  await looking.jobs.counts();
  await looking.runs.list({});
  await looking.runs.list({ tag: 'all' });
  await looking.runs.get(run.id);
  const looked = await callsByCommand(redis);
  await collect(looking.events({ from: 'start' }), count(3000));
  const all = await callsByCommand(redis);
  expect(all.get('xread')).toBeGreaterThan(0);
  // Records are read by themselves, or many of them by one script.
  const records = (looked.get('hgetall') ?? 0) + (looked.get('hkeys') ?? 0);
  expect(records).toBeGreaterThan(1000);
  expect(records).toBeLessThan(2500); // 3,000 jobs are there; one page looks at 1,000
  expect([...all.keys()].filter((name) => /^(keys|scan|sort|monitor|flush.*)$/.test(name))).toEqual([]);
});

test('a job and a run are read without a search in the list of the jobs that wait', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const redis = new Redis(server.url);
  onTestFinished(() => redis.disconnect());
  const app = createApp({ name: 'queries', connection: server.url });
  onTestFinished(() => app.close());
  const task = app.task({ name: 'task', run: async () => null });
  const others = Array.from({ length: 30 }, (_, n) => app.task({ name: `other${n}`, run: async () => null }));
  app.task({ name: 'elsewhere', queue: 'elsewhere', run: async () => null });
  const run = await chain(group(others.map((other) => other.si())), task.si()).delay();
  const [first] = await task.sendMany(Array.from({ length: 1001 }));
  if (first === undefined) throw new Error('no job was sent');
  await app.repair(); // which tells jobs that were lost

  const monitor = await redis.monitor();
  onTestFinished(() => monitor.disconnect());
  const lists: string[] = [];
  monitor.on('monitor', (_at, [name = '', key = '', ...args]: string[]) => {
    const isWhole = /^lpos$/i.test(name) || (/^lrange$/i.test(name) && args.join(' ') === '0 -1');
    if (isWhole) lists.push(key);
  });
  expect(await app.jobs.get(first.id)).toMatchObject({ state: 'waiting' });
  expect((await app.runs.get(run.id, { graph: true }))?.counts).toMatchObject({ waiting: 30, pending: 1 });
  expect(await app.jobs.waitReason(run.id)).toMatchObject({ kind: 'steps' });
  expect(await app.result(first.id).logs()).toEqual([]);
  expect(await app.result(run.id).counts()).toMatchObject({ waiting: 30 });
  expect(await app.jobs.get('missing')).toBeUndefined();
  expect(await app.result('missing').state()).toBe('unknown');
  await expect(app.deadLetters.replay('missing')).rejects.toThrow('missing');
  const marker = new Promise((resolve) =>
    monitor.on('monitor', (_at, [name]) => name === 'echo' && resolve(0)),
  );
  await redis.echo('end');
  await marker;
  expect(lists.filter((key) => key.endsWith(':default:wait'))).toEqual([]);
});
