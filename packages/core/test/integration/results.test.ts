import {
  type AsyncResult,
  ExpectedFailureError,
  isUmbelError,
  JobStateError,
  type TaskFailedError,
  UnrecoverableError,
} from '@umbel/core';
import { Redis } from 'ioredis';
import { expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

onEveryEngine('what a handler reports', (engine) => {
  function render() {
    const app = engine.app();
    let go = () => {};
    const waits = new Promise<void>((resolve) => {
      go = resolve;
    });
    const film = app.task({
      name: 'film',
      progress: z.object({ percent: z.number() }),
      states: ['rendering', 'uploading'],
      run: async (_, ctx) => {
        await ctx.setState('rendering');
        await ctx.progress({ percent: 10 });
        await waits;
        await ctx.setState('uploading');
        for (const percent of [50, 90]) await ctx.progress({ percent });
        return 'film.mp4';
      },
    });
    return { app, film, go };
  }

  test('reaches whoever follows it, the latest value first, until the end', async () => {
    const { app, film, go } = render();
    await app.worker().start();
    const result = await film.delay();
    const seen: number[] = [];
    for await (const { percent } of result.progress(soon)) {
      seen.push(percent);
      if (percent === 10) {
        expect(await result.state()).toBe('rendering');
        go();
      }
    }
    expect(seen[0]).toBe(10);
    expect(seen.at(-1)).toBe(90);
    expect(await result.state()).toBe('completed');
    const late: number[] = [];
    for await (const { percent } of result.progress()) late.push(percent);
    expect(late).toEqual([90]);
  });

  test('ends with its attempt, and is a value', async () => {
    const app = engine.app();
    let go = () => {};
    const waits = new Promise<void>((resolve) => {
      go = resolve;
    });
    const task = app.task({
      name: 'task',
      states: ['up'],
      retry: { attempts: 2, delay: 1 },
      run: async (_, ctx) => {
        if (ctx.attempt === 2) return waits;
        await ctx.setState('up');
        await ctx.progress(undefined).catch((error: Error) => {
          throw new Error(error.message);
        });
      },
    });
    await app.worker().start();
    const result = await task.delay();
    await vi.waitFor(async () => expect((await result.info()).attempts).toBe(1));
    await vi.waitFor(async () => expect(await result.state()).toBe('active'));
    go();
    expect(await result.get(soon)).toBeNull();
  });

  test('must be what the task declares', async () => {
    const app = engine.app();
    const wrong = app.task({
      name: 'wrong',
      progress: z.object({ percent: z.number() }),
      run: async (_, ctx) => ctx.progress({ percent: 'all' as unknown as number }),
    });
    const odd = app.task({ name: 'odd', run: async (_, ctx) => ctx.setState('odd' as never) });
    await app.worker().start();
    await expect((await wrong.delay()).get(soon)).rejects.toThrow(
      'The progress of task "wrong" is not valid',
    );
    await expect((await odd.delay()).get(soon)).rejects.toThrow('one of the states of task "odd" (none)');
  });

  test('in lines is kept with the job', async () => {
    const app = engine.app();
    const talk = app.task({
      name: 'talk',
      run: async (_, { log, attempt }) => {
        log.info('begun', { attempt });
        log.warn('slow');
        log.error('broken', new TypeError('no disk'));
        log.debug('details', 7);
      },
    });
    await app.worker().start();
    const result = await talk.delay();
    await result.get(soon);
    const lines = await result.logs();
    expect(lines.map((line) => line.slice(25))).toEqual([
      'info begun {"attempt":1}',
      'warn slow',
      'error broken TypeError: no disk',
      'debug details 7',
    ]);
    expect(new Date(lines[0]?.slice(0, 24) ?? '').getTime()).toBeGreaterThan(Date.now() - 60_000);
  });
});

onEveryEngine('an outcome', (engine) => {
  test('is a value, a declared failure with its data, or another failure', async () => {
    const app = engine.app();
    const runs: string[] = [];
    const order = app.task({
      name: 'order',
      input: z.string(),
      failures: { 'out-of-stock': z.object({ left: z.number() }), closed: z.undefined() },
      retry: { attempts: 3, delay: 1 },
      run: async (what, ctx) => {
        runs.push(what);
        if (what === 'pear') return ctx.fail('out-of-stock', { left: 2 });
        if (what === 'fig') return ctx.fail('closed');
        if (what === 'nut') throw new Error('cracked');
        if (what === 'wrong') return ctx.fail('out-of-stock', { left: 'two' as unknown as number });
        return what.toUpperCase();
      },
    });
    await app.worker().start();
    const outcomeOf = async (what: string) => (await order.delay(what)).outcome(soon);

    expect(await outcomeOf('plum')).toEqual({ ok: true, value: 'PLUM' });
    const pear = await outcomeOf('pear');
    if (pear.ok || pear.failure !== 'out-of-stock') throw new Error('it should be out of stock');
    expect(pear.data.left satisfies number).toBe(2);
    expect(pear.error.cause).toBeInstanceOf(ExpectedFailureError);
    expect(await outcomeOf('fig')).toMatchObject({ ok: false, failure: 'closed', data: undefined });
    expect(runs).toEqual(['plum', 'pear', 'fig']);
    const nut = await outcomeOf('nut');
    expect(nut).toMatchObject({ ok: false, failure: undefined, error: { cause: { message: 'cracked' } } });
    expect(await outcomeOf('wrong')).toMatchObject({
      ok: false,
      failure: undefined,
      error: { cause: { name: 'ValidationError', subject: 'failure' } },
    });
    expect(runs.filter((what) => what === 'nut')).toHaveLength(3);
    expect(runs.filter((what) => what === 'wrong')).toHaveLength(1);
  });
});

onEveryEngine('a handle', (engine) => {
  test('can be made again from an id, in another process, whatever the queue', async () => {
    const app = engine.app({ queues: ['one', 'two'] });
    const add = app.task({
      name: 'add',
      queue: 'one',
      input: z.object({ x: z.number() }),
      run: async ({ x }) => x + 1,
    });
    await app.worker({ queues: ['one', 'two'] }).start();
    const here = await add.applyAsync({ x: 1 }, { queue: 'two' });
    const there = engine.sameApp();
    expect((await there.result(add, here.id).get(soon)) satisfies number).toBe(2);
    expect(await there.result(here.id).get(soon)).toBe(2);
    expect(await there.result(here.id).info()).toMatchObject({ task: 'add', queue: 'two', attempts: 1 });
  });

  test('of an id that nothing holds is unknown', async () => {
    const app = engine.app();
    const result = app.result('nothing');
    expect(await result.state()).toBe('unknown');
    await expect(result.get(soon)).rejects.toMatchObject({ name: 'UnknownJobError', jobId: 'nothing' });
    await expect(result.info()).rejects.toThrow('No queue of this app holds job nothing');
    expect(await result.logs()).toEqual([]);
    await result.forget();
    expect(() => app.result('')).toThrow('Expected `id` to be the id of a job');
  });

  test('tells the times and attempts of its job', async () => {
    const app = engine.app();
    const before = Date.now();
    const twice = app.task({
      name: 'twice',
      retry: { attempts: 2, delay: 1 },
      run: async (_, { attempt }) => {
        if (attempt === 1) throw new Error('once');
      },
    });
    const result = await twice.applyAsync(undefined, { headers: { a: 'b' } });
    expect(await result.info()).toEqual({
      id: result.id,
      task: 'twice',
      displayName: 'twice',
      queue: 'default',
      attempts: 0,
      enqueuedAt: expect.any(Date),
      headers: { a: 'b' },
      rootId: result.id,
    });
    await app.worker().start();
    await result.get(soon);
    const { attempts, enqueuedAt, startedAt, finishedAt } = await result.info();
    expect(attempts).toBe(2);
    const times = [before - 1, Number(enqueuedAt), Number(startedAt), Number(finishedAt), Date.now() + 1];
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  test('forgets its job once that has ended', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', run: async () => 1 });
    const result = await task.delay();
    await expect(result.forget()).rejects.toThrow(JobStateError);
    await app.worker().start();
    await result.get(soon);
    await result.forget();
    expect(await result.state()).toBe('unknown');
  });

  test('gives the whole of what failed, in another process too', async () => {
    const app = engine.app();
    const task = app.task({
      name: 'task',
      run: async () => {
        throw new RangeError('too far', { cause: Object.assign(new Error('no road'), { code: 'E_ROAD' }) });
      },
    });
    await app.worker().start();
    const { id } = await task.delay();
    const error: TaskFailedError = await engine
      .sameApp()
      .result(id)
      .get(soon)
      .then(
        () => Promise.reject(new Error('it should fail')),
        (thrown) => thrown,
      );
    expect(error.cause).toBeInstanceOf(RangeError);
    expect(error.cause.cause).toMatchObject({ message: 'no road', code: 'E_ROAD' });
  });

  test('tells errors of Umbel by their code, also those of other classes', async () => {
    class NoSuchUser extends UnrecoverableError {
      override readonly name = 'NoSuchUser';
    }
    const app = engine.app();
    const task = app.task({
      name: 'task',
      run: async () => {
        throw new NoSuchUser('who?');
      },
    });
    await app.worker().start();
    const codeOf = async (result: AsyncResult<unknown>) => {
      const outcome = await result.outcome(soon);
      return !outcome.ok && isUmbelError(outcome.error.cause) && outcome.error.cause.code;
    };
    expect(await codeOf(await task.delay())).toBe('UNRECOVERABLE');
    expect(await codeOf(await app.send('nowhere'))).toBe('UNKNOWN_TASK');
  });

  test('many wait with one subscription', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    const results = await task.sendMany(Array.from({ length: 300 }, (_, n) => n));
    const waits = results.map((result) => result.get(soon));
    await app.worker({ concurrency: 50 }).start();
    expect(await Promise.all(waits)).toHaveLength(300);
    if (engine.name === 'redis') expect(await readersOf(app.name)).toBe(1);
  });
});

/** Connections that read events of an app's queue `default`. */
async function readersOf(app: string): Promise<number> {
  const redis = new Redis(inject('redisUrl'));
  const clients = String(await redis.client('LIST'));
  redis.disconnect();
  const name = `umbel:{${app}}:${Buffer.from('default').toString('base64')}`;
  return clients.split('\n').filter((line) => line.includes(`name=${name}:qe`)).length;
}
