import { chain, group } from '@umbel/canvas';
import { createApp, UnknownJobError } from '@umbel/core';
import { testApp } from '@umbel/testing';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

async function start(ttl: '1s' | '1d', retention = true) {
  // A store that cannot be reached: what reaches it fails.
  const app = createApp({
    name: 'kept',
    connection: 'redis://127.0.0.1:1',
    resultTtl: ttl,
    failureTtl: ttl,
  });
  const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
  const slow = app.task({
    name: 'slow',
    input: z.number(),
    run: async (n, ctx) => {
      await ctx.sleep('6s');
      return n;
    },
  });
  const fail = app.task({
    name: 'fail',
    input: z.number(),
    run: async (): Promise<number> => {
      throw new Error('failed');
    },
  });
  const t = await testApp(app, { retention });
  onTestFinished(() => t.close());
  return { t, app, double, slow, fail };
}

test('the outcomes of a large group are there as long as the run goes on', async () => {
  const { t, slow, double } = await start('1s');
  const members = [slow, ...Array.from({ length: 299 }, () => double)];
  const outcomes = await t.run(group.settled(members), 1);
  expect(outcomes.filter(({ ok }) => ok)).toHaveLength(300);
});

test('a run goes as a whole, from its end', async () => {
  const { t, app, double, slow } = await start('1s');
  const run = await t.start(chain(double, slow, double), 1);
  expect(await run.get()).toBe(4);
  const first = app.result(`${run.id}.0-0`);
  expect(await first.state()).toBe('completed');
  await t.advance('3s');
  expect([await run.state(), await first.state()]).toEqual(['unknown', 'unknown']);
  await expect(run.get()).rejects.toThrow(UnknownJobError);
});

test('a run that has failed stays while a member goes on, and goes after that', async () => {
  const { t, app, slow, fail } = await start('1s');
  const run = await t.start(group([fail, slow]), 1);
  await expect(run.get()).rejects.toThrow('failed');
  const member = app.result(`${run.id}.0.1`);
  await t.advance('4s');
  expect([await run.state(), await member.state()]).toEqual(['failed', 'active']);
  await t.advance('2500ms');
  expect([await run.state(), await member.state()]).toEqual(['failed', 'completed']);
  await t.advance('2m');
  expect([await run.state(), await member.state()]).toEqual(['unknown', 'unknown']);
});

test('a look at what is kept is no reason for time to pass', async () => {
  const { t, double } = await start('1d');
  const startedAt = t.now.getTime();
  const result = await t.start(double, 1);
  await t.runUntilIdle();
  expect(t.now.getTime()).toBe(startedAt);
  await t.advance('2d');
  await expect(result.get()).rejects.toThrow(UnknownJobError);
});

test('without `retention` a result stays', async () => {
  const { t, double } = await start('1s', false);
  const result = await t.start(double, 1);
  expect(await result.get()).toBe(2);
  await t.advance('400d');
  expect(await result.get()).toBe(2);
});
