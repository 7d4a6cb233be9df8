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
  test('is started twice as others are and five times alone, and is a dead letter', async () => {
    const { app, ran, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', times: 20 });
    await expect(t.run(double, 1)).rejects.toMatchObject({
      name: 'TaskFailedError',
      cause: { name: 'PoisonJobError', code: 'POISON_JOB' },
    });
    expect(ran).toHaveLength(7);
    expect(await app.deadLetters.list()).toMatchObject([
      { task: 'double', attempts: 1, error: { name: 'PoisonJobError' } },
    ]);
  });

  test('does not take down with it the jobs that ran beside it', async () => {
    const { app } = shop();
    const bad = app.task({ name: 'bad', run: async (_, ctx) => ctx.sleep('500ms') });
    const good = app.task({
      name: 'good',
      input: z.number(),
      run: async (n, ctx) => {
        await ctx.sleep('5s');
        return n;
      },
    });
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', task: bad, times: 20 });
    const failing = await bad.delay();
    const beside = await good.sendMany([1, 2, 3, 4, 5]);
    await expect(failing.get()).rejects.toMatchObject({ cause: { code: 'POISON_JOB' } });
    expect(await Promise.all(beside.map((job) => job.get()))).toEqual([1, 2, 3, 4, 5]);
    expect(t).toHaveRun(bad, { times: 7 });
    expect(t.attempts.filter(({ task }) => task === 'good').length).toBeLessThanOrEqual(5 * 3);
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

  test.each([
    ['500ms', 7],
    ['3s', 8],
    ['20s', 9],
    ['2m', 10],
    ['9m', 11],
  ] as const)('is found also if its handler takes %s until then: after %i starts', async (time, times) => {
    const { app } = shop();
    const slow = app.task({ name: 'slow', run: async (_, ctx) => ctx.sleep(time) });
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', task: slow, times: 20 });
    await expect(t.run(slow)).rejects.toMatchObject({ cause: { code: 'POISON_JOB' } });
    expect(t).toHaveRun(slow, { times });
  });

  test('may lose its worker as often as it likes, if its handler takes longer than ten minutes', async () => {
    const { app } = shop();
    const slow = app.task({ name: 'slow', run: async (_, ctx) => ctx.sleep('10m') });
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', task: slow, times: 20 });
    await t.run(slow);
    expect(t).toHaveRun(slow, { times: 21 });
  });

  test('is not at fault if it never reaches its handler', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'before-handler', times: 20 });
    expect(await t.run(double, 1)).toBe(2);
    expect(t.attempts).toHaveLength(21);
  });

  test('does not hold up the others that were lost with it: each is alone for a second', async () => {
    const { app } = shop();
    const slow = app.task({ name: 'slow', run: async (_, ctx) => ctx.sleep('30s') });
    const t = await testApp(app, { concurrency: 20 });
    const results = await Promise.all(Array.from({ length: 16 }, () => slow.delay()));
    t.crashWorker({ at: 'after-handler', task: slow, times: 2 });
    await Promise.all(results.map((result) => result.get()));
    expect(t).toHaveRun(slow, { times: 3 * 16 });
    // Twice a handler and the wait for the lock, then one after the other and the last handler.
    expect(t.now.getTime() - Date.UTC(2030, 0, 1)).toBeLessThan(2 * 60_000 + 16 * 2000 + 30_000);
  });

  test('is not at fault if others run beside it each time', async () => {
    const { app } = shop();
    const slow = app.task({ name: 'slow', run: async (_, ctx) => ctx.sleep('30s') });
    const t = await testApp(app, { concurrency: 20 });
    const results = await Promise.all(Array.from({ length: 16 }, () => slow.delay()));
    for (let deaths = 0; deaths < 4; deaths += 1) {
      t.crashWorker({ at: 'after-handler', task: slow });
      await t.advance('65s');
    }
    await Promise.all(results.map((result) => result.get()));
    expect(await app.deadLetters.list()).toEqual([]);
  });

  test('is started once more when it is replayed', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', times: 7 });
    const result = await double.delay(1);
    await expect(result.get()).rejects.toMatchObject({ cause: { code: 'POISON_JOB' } });
    await app.deadLetters.replay(result.id);
    expect(await result.get()).toBe(2);
  });

  test('tells when it was lost, and has a clean record once it is replayed', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    t.crashWorker({ at: 'after-handler', times: 9 });
    const result = await double.delay(1);
    await expect(result.get()).rejects.toMatchObject({ cause: { code: 'POISON_JOB' } });
    const { lostStarts, failedAt } = await app.deadLetters.get(result.id);
    expect(lostStarts).toHaveLength(7);
    expect(lostStarts.at(-1)).toEqual(failedAt);
    expect(await app.deadLetters.replayMany({ error: 'POISON_JOB' })).toEqual({ replayed: 1, skipped: [] });
    // Two more losses would be poison again, but for the clean record.
    expect(await result.get()).toBe(2);
    expect(t).toHaveRun(double, { times: 10 });
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
