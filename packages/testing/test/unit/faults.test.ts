import { chain, chord } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { testApp } from '@umbel/testing/vitest';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

function shop() {
  const app = createApp({ name: 'faults', connection: 'redis://127.0.0.1:1' });
  const ran: string[] = [];
  const double = app.task({
    name: 'double',
    input: z.number(),
    run: async (n) => {
      ran.push(`double ${n}`);
      return n * 2;
    },
  });
  const sum = app.task({
    name: 'sum',
    input: z.array(z.number()),
    run: async (numbers) => {
      ran.push('sum');
      return numbers.reduce((total, n) => total + n, 0);
    },
  });
  return { app, ran, double, sum };
}

describe('a worker that crashes', () => {
  test('before a handler leaves the job to another worker, half a minute later', async () => {
    const { app, ran, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'before-handler' });
    expect(await t.run(double, 1)).toBe(2);
    expect(ran).toEqual(['double 1']);
    expect(t.now).toEqual(new Date('2030-01-01T00:00:30Z'));
  });

  test('after a handler lets it run again: effects happen at least once', async () => {
    const { app, ran, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', times: 2 });
    expect(await t.run(double, 1)).toBe(2);
    expect(ran).toEqual(['double 1', 'double 1', 'double 1']);
    expect(t.timeline().split('\n')).toEqual([
      '+0ms       double † lost with its worker',
      '+30s       double † lost with its worker',
      '+1m        double → 2',
    ]);
  });

  test('spends no attempt of the task', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', times: 2 });
    expect(await t.run(double, 1)).toBe(2);
    expect(t.attempts.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
  });

  test('in the middle of a chord costs nothing but time: the body runs once, on all results', async () => {
    const { app, ran, double, sum } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', task: double });
    expect(
      await t.run(
        chord(
          [1, 2, 3].map((n) => double.si(n)),
          sum,
        ),
      ),
    ).toBe(12);
    expect(ran.filter((name) => name === 'sum')).toHaveLength(1);
    expect(new Set(ran)).toEqual(new Set(['double 1', 'double 2', 'double 3', 'sum']));
  });

  test('in the body of a chord lets only the body run again', async () => {
    const { app, ran, double, sum } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', task: sum });
    expect(await t.run(chain(chord([double.si(1), double.si(2)], sum), double))).toBe(12);
    expect(ran).toEqual(['double 1', 'double 2', 'sum', 'sum', 'double 6']);
  });
});

describe('a job whose worker crashes again and again', () => {
  test('is not started a fourth time, and is a dead letter', async () => {
    const { app, ran, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', times: 10 });
    await expect(t.run(double, 1)).rejects.toMatchObject({
      name: 'TaskFailedError',
      cause: { name: 'PoisonJobError', code: 'POISON_JOB' },
    });
    expect(ran).toHaveLength(3);
    expect(await app.deadLetters.list()).toMatchObject([
      { task: 'double', attempts: 1, error: { name: 'PoisonJobError' } },
    ]);
  });

  test('does not take down with it the jobs that ran beside it', async () => {
    const { app } = shop();
    const bad = app.task({ name: 'bad', run: async (_, ctx) => ctx.sleep('1s') });
    const good = app.task({
      name: 'good',
      input: z.number(),
      run: async (n, ctx) => {
        await ctx.sleep('5s');
        return n;
      },
    });
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', task: bad, times: 10 });
    const failing = await bad.delay();
    const beside = await good.sendMany([1, 2, 3, 4, 5]);
    await expect(failing.get()).rejects.toMatchObject({ cause: { code: 'POISON_JOB' } });
    expect(await Promise.all(beside.map((job) => job.get()))).toEqual([1, 2, 3, 4, 5]);
    expect(t).toHaveRun(bad, { times: 3 });
  });

  test('has its losses forgotten by a start that comes to an end', async () => {
    const { app } = shop();
    let attempts = 0;
    const flaky = app.task({
      name: 'flaky',
      retry: { attempts: 3, delay: '1s', jitter: false },
      run: async (_, ctx) => {
        attempts = ctx.attempt;
        if (ctx.attempt < 3) throw new Error('not yet');
      },
    });
    const t = await testApp(app);
    const run = await flaky.delay();
    for (const attempt of [1, 2, 3]) {
      t.crashWorker({ at: 'before-handler', task: flaky, times: 2 });
      await t.next();
      await t.next();
      if (attempt < 3) await t.next();
    }
    await run.get();
    expect(attempts).toBe(3);
  });

  test('may lose its worker as often as it likes, if that takes longer than ten minutes', async () => {
    const { app } = shop();
    const slow = app.task({ name: 'slow', run: async (_, ctx) => ctx.sleep('9m') });
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', task: slow, times: 5 });
    await t.run(slow);
    expect(t).toHaveRun(slow, { times: 6 });
  });

  test('is started once more when it is replayed', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'before-handler', times: 3 });
    const result = await double.delay(1);
    await expect(result.get()).rejects.toMatchObject({ cause: { code: 'POISON_JOB' } });
    await app.deadLetters.replay(result.id);
    expect(await result.get()).toBe(2);
  });

  test('tells when it was lost, and has a clean record once it is replayed', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'before-handler', times: 5 });
    const result = await double.delay(1);
    await expect(result.get()).rejects.toMatchObject({ cause: { code: 'POISON_JOB' } });
    const { lostStarts, failedAt } = await app.deadLetters.get(result.id);
    expect(lostStarts).toHaveLength(3);
    expect(lostStarts.at(-1)).toEqual(failedAt);
    expect(await app.deadLetters.replayMany({ error: 'POISON_JOB' })).toEqual({ replayed: 1, skipped: [] });
    // Two more losses would make five of the ones before, but for the clean record.
    expect(await result.get()).toBe(2);
    expect(t).toHaveRun(double, { times: 1 });
  });
});

describe('a fault', () => {
  test('does not strike a handler that is performed without a worker', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'before-handler' });
    expect(await t.perform(double, 4)).toBe(8);
  });
});

describe('a lock that is lost', () => {
  test('delivers the job twice, and records one result', async () => {
    const { app, ran, double, sum } = shop();
    const t = await testApp(app);
    t.loseLock({ task: double });
    expect(await t.run(chord([double.si(1), double.si(2)], sum))).toBe(6);
    expect(ran.toSorted()).toEqual(['double 1', 'double 1', 'double 2', 'sum'].toSorted());
  });
});

describe('a store that refuses a command', () => {
  test('for a while only is asked again', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    t.failStore({ command: 'addJob', error: new Error('LOADING Redis is loading the dataset'), times: 2 });
    expect(await t.run(double, 1)).toBe(2);
    expect(t).toHaveEnqueued(double, 1, { times: 1 });
  });

  test('rejects the call that needed it, once', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    t.failStore({ command: 'addJob', error: new Error('ERR unknown command') });
    await expect(double.delay(1)).rejects.toThrow('ERR unknown command');
    expect(t).not.toHaveEnqueued(double);
    expect(await t.run(double, 1)).toBe(2);
  });

  test('that stores an outcome is asked again: the handler has run, and runs no second time', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    const error = new Error('READONLY You can not write against a read only replica.');
    t.failStore({ command: 'moveToCompleted', error, times: 2 });
    expect(await t.run(double, 1)).toBe(2);
    expect(t).toHaveRun(double, { times: 1 });
  });

  test('does not fail a workflow when a fan-out cannot add its members at first', async () => {
    const { app, double, sum } = shop();
    const t = await testApp(app);
    const result = await t.start(chain(double, chord([double, double], sum)), 1);
    t.failStore({ command: 'addFlow', times: 2 });
    expect(await result.get()).toBe(8);
  });
});
