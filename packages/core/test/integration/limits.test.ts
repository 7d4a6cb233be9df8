import {
  type AsyncResult,
  ExpiredError,
  InvalidOptionError,
  type Rate,
  RevokedError,
  TimeLimitError,
  UnknownQueueError,
} from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

/** A promise, and the function that resolves it. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

onEveryEngine('a time limit', (engine) => {
  test('ends the attempt whatever the handler does, aborts its signal, and counts as a failure', async () => {
    const app = engine.app();
    const late = gate();
    const seen: unknown[] = [];
    const slow = app.task({
      name: 'slow',
      timeout: 30,
      retry: { attempts: 2, delay: 1 },
      run: async (_, { signal, attempt, progress }) => {
        signal.addEventListener('abort', () => seen.push(signal.reason));
        if (attempt === 2) return 'in time';
        await late.opened;
        await progress(1).catch((error: Error) => seen.push(error.message));
        return 'too late';
      },
    });
    await app.worker().start();
    const result = await slow.delay();
    expect(await result.get(soon)).toBe('in time');
    expect(seen).toEqual([expect.any(TimeLimitError)]);
    late.open();
    await vi.waitFor(() => expect(seen).toHaveLength(2));
    expect(seen[1]).toContain('is over and cannot report');
    expect(await result.get(soon)).toBe('in time');
    expect((await result.info()).attempts).toBe(2);
  });

  test('can be given with the call, and tells the caller', async () => {
    const app = engine.app();
    const slow = app.task({ name: 'slow', timeout: '1h', run: () => new Promise<null>(() => {}) });
    await app.worker().start();
    const result = await slow.applyAsync(undefined, { timeout: 20 });
    await expect(result.get(soon)).rejects.toMatchObject({
      cause: expect.any(TimeLimitError),
      message: expect.stringContaining('did not end within its timeout of 20 ms (attempt 1)'),
    });
  });
});

onEveryEngine('an expiry', (engine) => {
  test('keeps a job that was not started in time from ever running', async () => {
    const app = engine.app();
    const run = vi.fn(async () => null);
    const news = app.task({ name: 'news', retry: { attempts: 3 }, run });
    const stale = await news.applyAsync(undefined, { expires: new Date(Date.now() - 1) });
    const fresh = await news.applyAsync(undefined, { expires: '1h' });
    await app.worker().start();
    await expect(stale.get(soon)).rejects.toMatchObject({
      state: 'expired',
      cause: expect.any(ExpiredError),
    });
    expect(await stale.state()).toBe('expired');
    expect(await fresh.get(soon)).toBeNull();
    expect(run).toHaveBeenCalledTimes(1);
  });

  test('of a call wins over that of its task', async () => {
    const app = engine.app();
    const news = app.task({ name: 'news', expires: '1h', run: async () => null });
    const stale = await news.applyAsync(undefined, { expires: new Date(Date.now() - 1) });
    await app.worker().start();
    await expect(stale.get(soon)).rejects.toMatchObject({ state: 'expired' });
  });

  test('does not end a job that has started', async () => {
    const app = engine.app();
    const news = app.task({
      name: 'news',
      retry: { attempts: 2, delay: 1 },
      run: async (_, { attempt }) => {
        if (attempt === 2) return 'read';
        await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(expires.getTime()));
        throw new Error('down');
      },
    });
    await app.worker().start();
    const expires = new Date(Date.now() + 3_000);
    expect(await (await news.applyAsync(undefined, { expires })).get(soon)).toBe('read');
  });

  test('of a task counts from the sending of each call', async () => {
    const app = engine.app();
    const news = app.task({ name: 'news', expires: 1, run: async () => null });
    const stale = await news.delay();
    await vi.waitFor(async () =>
      expect(Date.now()).toBeGreaterThan((await stale.info()).enqueuedAt.getTime() + 1),
    );
    await app.worker().start();
    await expect(stale.get(soon)).rejects.toMatchObject({ state: 'expired' });
  });
});

onEveryEngine('a queue as a whole', (engine) => {
  /** A task whose jobs end once `together` of them have run at once, and how many have run at once. */
  function busy(options: object, together = 1) {
    const app = engine.app(options);
    const met = gate();
    let running = 0;
    let most = 0;
    const work = app.task({
      name: 'work',
      queue: 'narrow',
      input: z.number(),
      run: async (n, ctx) => {
        running += 1;
        most = Math.max(most, running);
        if (most >= together) met.open();
        await met.opened;
        await ctx.sleep(5);
        running -= 1;
        return n;
      },
    });
    return { app, work, most: () => most };
  }

  test('runs no more jobs at once than it may, over all workers', async () => {
    const { app, work, most } = busy({ queues: { narrow: { concurrency: 2 } } }, 2);
    await Promise.all([app.worker().start(), app.worker().start()]);
    const results = await work.sendMany(Array.from({ length: 12 }, (_, n) => n));
    for (const result of results) await result.get(soon);
    expect(most()).toBe(2);
  });

  test('can be changed while it runs', async () => {
    const { app, work, most } = busy({});
    const queue = app.queue('narrow');
    await queue.setConcurrency(1);
    await app.worker().start();
    const results = await work.sendMany(Array.from({ length: 6 }, (_, n) => n));
    for (const result of results) await result.get(soon);
    expect(most()).toBe(1);
    await queue.setConcurrency(undefined);
    await vi.waitFor(async () => {
      for (const result of await work.sendMany([1, 2, 3, 4])) await result.get(soon);
      expect(most()).toBeGreaterThan(1);
    });
    await expect(queue.setConcurrency(0)).rejects.toThrow(InvalidOptionError);
  });

  test('starts no more jobs in a time than its rate allows', async () => {
    const { app, work } = busy({ queues: { narrow: { rateLimit: '3/h' } } });
    const results = await work.sendMany([1, 2, 3, 4, 5]);
    await app.worker().start();
    for (const result of results.slice(0, 3)) await result.get(soon);
    expect(await app.queue('narrow').counts()).toMatchObject({ completed: 3, waiting: 2, active: 0 });
    await app.queue('narrow').setRateLimit('1000/s');
    await expect(app.queue('narrow').setRateLimit('many' as never)).rejects.toThrow('a rate such as');
  });

  test('can be paused and goes on', async () => {
    const { app, work } = busy({});
    const queue = app.queue('narrow');
    await queue.pause();
    expect(await queue.isPaused()).toBe(true);
    await app.worker().start();
    const result = await work.delay(7);
    expect(await queue.counts()).toMatchObject({ waiting: 1, active: 0 });
    await queue.resume();
    expect(await result.get(soon)).toBe(7);
    expect(() => app.queue('wide')).toThrow(UnknownQueueError);
  });
});

onEveryEngine('the rate of a queue', (engine) => {
  /** A task in the queue of a rate, and when each of its jobs began. */
  function limited(
    rateLimit?: Rate,
    app = engine.app({ queues: { narrow: { ...(rateLimit && { rateLimit }) } } }),
  ) {
    const starts: number[] = [];
    const work = app.task({
      name: 'work',
      queue: 'narrow',
      input: z.number(),
      run: async (n) => {
        starts.push(performance.now());
        return n;
      },
    });
    return { app, work, starts };
  }

  /** An app whose rate has been used up by three jobs, while two wait. */
  async function usedUp(rate: Rate) {
    const { app, work, starts } = limited(rate);
    const results = await work.sendMany([1, 2, 3, 4, 5]);
    await app.worker().start();
    for (const result of results.slice(0, 3)) await result.get(soon);
    await vi.waitFor(async () =>
      expect(await app.queue('narrow').counts()).toMatchObject({ waiting: 2, active: 0 }),
    );
    return { app, work, starts, rest: results.slice(3) };
  }

  test.each<Rate>(['1000/s', '2/s', '5/d'])(
    'that is raised from 3 a day to %s holds at once',
    async (rate) => {
      const { app, rest } = await usedUp('3/d');
      const changedAt = performance.now();
      await app.control.rateLimit('narrow', rate);
      for (const result of rest) await result.get(soon);
      expect(performance.now() - changedAt).toBeLessThan(25_000); // and not a day, nor 30 s
    },
  );

  test('that is taken away holds no longer', async () => {
    const { app, rest } = await usedUp('3/d');
    const changedAt = performance.now();
    await app.queue('narrow').setRateLimit(undefined);
    for (const result of rest) await result.get(soon);
    expect(performance.now() - changedAt).toBeLessThan(25_000);
  });

  test('of new code holds once its first worker has started', async () => {
    const { rest } = await usedUp('3/d');
    const next = limited(undefined, engine.sameApp({ queues: { narrow: { rateLimit: '2/s' } } }));
    const changedAt = performance.now();
    await next.app.worker({ queues: ['narrow'] }).start();
    for (const result of rest) await result.get(soon);
    expect(performance.now() - changedAt).toBeLessThan(25_000);
  });

  test('counts what the window has started, where only the number is another', async () => {
    const { app, rest } = await usedUp('3/d');
    await app.control.rateLimit('narrow', '4/d');
    expect(await (rest[0] as AsyncResult<number>).get(soon)).toBe(4);
    await app.control.rateLimit('narrow', '2/d');
    expect(await rest[1]?.state()).toBe('waiting');
    await app.control.rateLimit('narrow', '5/d');
    expect(await (rest[1] as AsyncResult<number>).get(soon)).toBe(5);
  });

  test('counts it in a longer window as well, and lets no more start than the new one', async () => {
    const { app, work, starts } = limited('3/m');
    const results = await work.sendMany([1, 2, 3, 4, 5, 6]);
    const worker = await app.worker().start();
    await results[0]?.get(soon);
    await app.control.rateLimit('narrow', '5/d');
    await vi.waitFor(() => expect(starts).toHaveLength(5));
    await worker.close();
    expect(await app.queue('narrow').counts()).toMatchObject({ completed: 5, waiting: 1 });
    await app.worker().start();
    await vi.waitFor(async () => expect((await app.inspect.queues())[1]?.workers).toHaveLength(1));
    expect(starts).toHaveLength(5);
  });

  test('is kept by the workers of all starts: the same again changes nothing', async () => {
    const { app, rest } = await usedUp('3/d');
    const other = engine.sameApp({ queues: { narrow: { rateLimit: '3/d' } } });
    limited(undefined, other);
    await other.worker({ queues: ['narrow'] }).start();
    await app.control.rateLimit('narrow', '3/d');
    expect(await app.queue('narrow').counts()).toMatchObject({ completed: 3, waiting: 2, active: 0 });
    expect(await rest[0]?.state()).toBe('waiting');
  });

  test('lets the next ones start when its window ends', async () => {
    const { app, work, starts } = limited('2/s');
    const results = await work.sendMany([1, 2, 3, 4, 5]);
    const begin = performance.now(); // no window is older; on a busy machine, a job starts long after its window
    await app.worker().start();
    for (const result of results) await result.get(soon);
    const [, , third = 0, , fifth = 0] = starts;
    expect(third - begin).toBeGreaterThan(900);
    expect(fifth - begin).toBeGreaterThan(1900);
  });

  test('that another program has used up for a time is left to it', async () => {
    const { app, work } = limited('100/s');
    await engine.bareQueue('narrow').rateLimit(600_000);
    const result = await work.delay(1);
    await app.worker().start();
    await app.control.rateLimit('narrow', '200/s');
    expect(await engine.bareQueue('narrow').getRateLimitTtl()).toBeGreaterThan(500_000);
    expect(await result.state()).toBe('waiting');
  });
});

onEveryEngine('the number of jobs of a queue that run at once', (engine) => {
  test('is raised at once, for workers that wait, too', async () => {
    const app = engine.app();
    const blocker = gate();
    const started: number[] = [];
    const work = app.task({
      name: 'work',
      queue: 'narrow',
      input: z.number(),
      run: async (n) => {
        started.push(n);
        await blocker.opened;
        return n;
      },
    });
    await app.control.limitConcurrency('narrow', 1);
    await app.worker().start();
    await app.worker().start();
    const results = await work.sendMany([1, 2, 3]);
    await vi.waitFor(() => expect(started).toHaveLength(1));
    const changedAt = performance.now();
    await app.control.limitConcurrency('narrow', 3);
    await vi.waitFor(() => expect(started).toHaveLength(3), { timeout: 10_000, interval: 5 });
    expect(performance.now() - changedAt).toBeLessThan(4000); // and not 5 s
    blocker.open();
    for (const result of results) await result.get(soon);
  });
});

onEveryEngine('revoking', (engine) => {
  test('keeps a job that waits, or is to start later, from ever running', async () => {
    const app = engine.app();
    const run = vi.fn(async () => null);
    const task = app.task({ name: 'task', retry: { attempts: 3 }, run });
    const waiting = await task.delay();
    const later = await task.applyAsync(undefined, { countdown: '7d' });
    expect(await waiting.revoke()).toBe(true);
    expect(await later.revoke()).toBe(true);
    expect(await waiting.revoke()).toBe(true);
    await app.worker().start();
    for (const result of [waiting, later]) {
      await expect(result.get(soon)).rejects.toMatchObject({
        state: 'revoked',
        cause: expect.any(RevokedError),
      });
      expect(await result.state()).toBe('revoked');
    }
    expect(run).not.toHaveBeenCalled();
    expect(await waiting.revoke()).toBe(false);
  });

  test('lets a job that runs go on, unless it is to be terminated', async () => {
    const app = engine.app();
    const { open, opened } = gate();
    const reasons: unknown[] = [];
    const task = app.task({
      name: 'task',
      retry: { attempts: 3 },
      run: async (_, { signal }) => {
        signal.addEventListener('abort', () => reasons.push(signal.reason));
        await opened;
        return 'done';
      },
    });
    await app.worker().start();
    const kept = await task.delay();
    const ended = await task.delay();
    for (const result of [kept, ended])
      await vi.waitFor(async () => expect(await result.state()).toBe('active'));
    expect(await kept.revoke()).toBe(true);
    expect(await engine.sameApp().result(ended.id).revoke({ terminate: true })).toBe(true);
    await expect(ended.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(reasons).toEqual([expect.any(RevokedError)]);
    open();
    expect(await kept.get(soon)).toBe('done');
  });

  test('a job that is not there is an error', async () => {
    const app = engine.app();
    await expect(app.result('nothing').revoke()).rejects.toThrow('No queue of this app holds job nothing');
  });
});
