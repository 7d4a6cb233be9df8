import { type AsyncResult, RejectedError, type TaskFailedError, UnrecoverableError } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

const failureOf = (result: AsyncResult<unknown>): Promise<TaskFailedError> =>
  result.get(soon).then(
    (value) => Promise.reject(new Error(`it gave ${JSON.stringify(value)}`)),
    (error: TaskFailedError) => error,
  );

class BadAddress extends Error {}

onEveryEngine('a failed attempt', (engine) => {
  function flaky(retry: object, error: () => Error = () => new Error('down')) {
    const app = engine.app();
    const times: number[] = [];
    const task = app.task({
      name: 'flaky',
      retry,
      run: async (_, { attempt }) => {
        times.push(performance.now());
        throw Object.assign(error(), { attempt });
      },
    });
    return { app, task, times };
  }

  test('is repeated as often as the options say, then the job has failed', async () => {
    const { app, task, times } = flaky({ attempts: 3, delay: 1 });
    await app.worker().start();
    const error = await failureOf(await task.delay());
    expect(error).toMatchObject({ task: 'flaky', state: 'failed', cause: { message: 'down' } });
    expect(times).toHaveLength(3);
  });

  test('is repeated as often as the call says', async () => {
    const { app, task, times } = flaky({ attempts: 3, delay: 1 });
    await app.worker().start();
    await failureOf(await task.applyAsync(undefined, { retry: { attempts: 2, delay: 1 } }));
    expect(times).toHaveLength(2);
  });

  test('is repeated after waits that a function gives, no longer than the cap', async () => {
    const asked: [number, string][] = [];
    const { app, task, times } = flaky({
      attempts: 3,
      max: 150,
      backoff: (attempt: number, error: Error) => {
        asked.push([attempt, error.message]);
        return attempt === 1 ? 20 : '1h';
      },
    });
    await app.worker().start();
    await failureOf(await task.delay());
    expect(asked).toEqual([
      [1, 'down'],
      [2, 'down'],
    ]);
    expect((times[2] ?? 0) - (times[1] ?? 0)).toBeGreaterThan(120);
  });

  test('waits as the call says, where it says so, and not as the task’s function does', async () => {
    const backoff = vi.fn(() => '1h' as const);
    const { app, task } = flaky({ attempts: 5, backoff });
    await app.worker().start();
    await failureOf(await task.applyAsync(undefined, { retry: { attempts: 2, backoff: 'fixed', delay: 1 } }));
    expect(backoff).not.toHaveBeenCalled();
  });

  test('is not repeated for an error that the task does not retry on', async () => {
    const on = (error: Error, attempt: number) => !(error instanceof BadAddress) && attempt < 9;
    const bad = flaky({ attempts: 3, delay: 1, on }, () => new BadAddress('nowhere'));
    await bad.app.worker().start();
    await failureOf(await bad.task.delay());
    expect(bad.times).toHaveLength(1);
    const other = flaky({ attempts: 3, delay: 1, on });
    await other.app.worker().start();
    await failureOf(await other.task.delay());
    expect(other.times).toHaveLength(3);
  });

  test('is final when what is to decide about it throws', async () => {
    const on = () => {
      throw new Error('undecided');
    };
    const { app, task, times } = flaky({ attempts: 3, delay: 1, on });
    await app.worker().start();
    expect((await failureOf(await task.delay())).cause.message).toBe('down');
    expect(times).toHaveLength(1);
  });

  test('is not repeated after an UnrecoverableError, also of a class of its own', async () => {
    class NoSuchUser extends UnrecoverableError {}
    const { app, task, times } = flaky({ attempts: 3, delay: 1 }, () => new NoSuchUser('who?'));
    await app.worker().start();
    expect((await failureOf(await task.delay())).cause).toMatchObject({ message: 'who?' });
    expect(times).toHaveLength(1);
  });
});

onEveryEngine('a handler', (engine) => {
  test('can ask for another attempt, after a time, up to its options', async () => {
    const app = engine.app();
    const attempts: number[] = [];
    const poll = app.task({
      name: 'poll',
      input: z.number(),
      run: async (enough, ctx) => {
        attempts.push(ctx.attempt);
        if (ctx.attempt < enough) return ctx.retry({ in: 5, reason: 'not ready' });
        return 'ready';
      },
    });
    await app.worker().start();
    expect(await (await poll.delay(3)).get(soon)).toBe('ready');
    expect(attempts).toEqual([1, 2, 3]);
    const error = await failureOf(await poll.delay(99));
    expect(error.cause.message).toBe('not ready');
    expect(attempts).toHaveLength(3 + 4); // as many as in Celery when no retry is configured
    const two = await poll.applyAsync(99, { retry: { attempts: 2, delay: 1 } });
    await failureOf(two);
    expect(attempts).toHaveLength(3 + 4 + 2);
  });

  test('can reject its job, whatever the retries', async () => {
    const app = engine.app();
    const runs = vi.fn();
    const refuse = app.task({
      name: 'refuse',
      retry: { attempts: 5, delay: 1 },
      run: async (_, ctx) => {
        runs();
        return ctx.reject('the account is closed');
      },
    });
    await app.worker().start();
    const { cause } = await failureOf(await refuse.delay());
    expect(cause).toBeInstanceOf(RejectedError);
    expect(cause.message).toContain('the account is closed');
    expect(runs).toHaveBeenCalledTimes(1);
  });
});

onEveryEngine('dead letters', (engine) => {
  test('are listed, the last first, replayed under their id, and discarded', async () => {
    const app = engine.app();
    let isUp = false;
    const call = app.task({
      name: 'call',
      queue: 'calls',
      input: z.string(),
      retry: { attempts: 2, delay: 1 },
      run: async (to) => {
        if (!isUp) throw new TypeError(`${to} is busy`);
        return `reached ${to}`;
      },
    });
    const other = app.task({ name: 'other', run: async () => Promise.reject(new Error('no')) });
    await app.worker().start();
    const first = await call.delay('Ada');
    await failureOf(first);
    const second = await call.delay('Bob');
    await failureOf(second);
    await failureOf(await other.delay());
    expect(await app.deadLetters.list({ task: 'call' })).toMatchObject([
      { id: second.id, input: 'Bob' },
      {
        id: first.id,
        task: 'call',
        queue: 'calls',
        state: 'failed',
        input: 'Ada',
        attempts: 2,
        error: { name: 'TypeError', message: 'Ada is busy' },
      },
    ]);
    expect(await app.deadLetters.list()).toHaveLength(3);
    expect(await app.deadLetters.list({ queue: 'calls', limit: 1, offset: 1 })).toMatchObject([
      { id: first.id },
    ]);
    isUp = true;
    await app.deadLetters.replay(first.id);
    expect(await first.get(soon)).toBe('reached Ada');
    await app.deadLetters.discard(second.id);
    expect(await second.state()).toBe('unknown');
    expect(await app.deadLetters.list({ task: 'call' })).toEqual([]);
  });

  test('that are none are refused', async () => {
    const app = engine.app();
    const fine = app.task({ name: 'fine', run: async () => 1 });
    const result = await fine.delay();
    await expect(app.deadLetters.replay('nothing')).rejects.toThrow('No queue of this app holds job nothing');
    await expect(app.deadLetters.replay(result.id)).rejects.toThrow('is waiting, not failed');
  });
});

onEveryEngine('a handler that looks whether something is there', (engine) => {
  test.each([false, true])(
    'asks for another look that counts no attempt (with hooks: %s)',
    async (hooked) => {
      const app = engine.app();
      const seen: number[] = [];
      const hooks: string[] = [];
      const look = app.task({
        name: 'look',
        retry: { attempts: 2, delay: 1 },
        ...(hooked && {
          hooks: {
            retry: () => void hooks.push('retry'),
            failure: () => void hooks.push('failure'),
            always: () => void hooks.push('always'),
          },
        }),
        run: async (_, ctx) => {
          seen.push(ctx.attempt);
          if (seen.length < 6) return ctx.retry({ in: 5, countAttempt: false, reason: 'not there yet' });
          if (seen.length === 6) throw new Error('down');
          return ctx.attempt;
        },
      });
      await app.worker().start();
      const result = await look.delay();
      expect(await result.get(soon)).toBe(2);
      expect(seen).toEqual([1, 1, 1, 1, 1, 1, 2]);
      expect((await result.info()).attempts).toBe(2);
      if (hooked) expect(hooks).toEqual([...Array(5).fill('always'), 'retry', 'always', 'always']);
    },
  );

  test('says it with true or false', async () => {
    const app = engine.app();
    const look = app.task({
      name: 'look',
      run: async (_, ctx) => ctx.retry({ countAttempt: 'no' as never }),
    });
    await app.worker().start();
    expect(await failureOf(await look.delay())).toMatchObject({
      cause: { message: expect.stringContaining('Expected `countAttempt` to be true or false') },
    });
  });
});
