import { EventEmitter, once } from 'node:events';
import {
  type AsyncResult,
  DuplicateTaskError,
  defineTask,
  InvalidOptionError,
  RemoteError,
  TaskFailedError,
  TimeoutError,
  UnboundTaskError,
  UnknownJobError,
  ValidationError,
  WorkerClosedError,
} from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

/** The error that `get()` rejects with. */
async function failureOf(result: AsyncResult<unknown>): Promise<TaskFailedError> {
  const error = await result.get({ timeout: '50s' }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof TaskFailedError)) throw new Error(`not a TaskFailedError: ${error}`);
  return error;
}

onEveryEngine('a task', (engine) => {
  test('gives its result to whoever sent it', async () => {
    const app = engine.app();
    const add = app.task({
      name: 'add',
      input: z.object({ x: z.number(), y: z.number() }),
      run: async ({ x, y }) => x + y,
    });
    await app.worker().start();
    const result = await add.delay({ x: 1, y: 2 });
    expect(await result.get({ timeout: '50s' })).toBe(3);
    expect(await result.state()).toBe('completed');
  });

  test('runs in another app on the same store, sent through its contract alone', async () => {
    const greet = defineTask({
      name: 'greet',
      input: z.object({ name: z.string(), greeting: z.string().default('Hello') }),
      output: z.object({ text: z.string() }),
    });
    const sender = engine.app().bind(greet);
    const running = engine.sameApp();
    running.implement(greet, async ({ name, greeting }) => ({ text: `${greeting}, ${name}!` }));
    await running.worker().start();
    const result = await sender.delay({ name: 'Ada' });
    expect(await result.get({ timeout: '50s' })).toEqual({ text: 'Hello, Ada!' });
  });

  test('is given its context', async () => {
    const app = engine.app();
    const tell = app.task({
      name: 'tell',
      queue: 'talk',
      run: async (_input, ctx) => {
        const { id, name, queue, attempt, runId, rootId, parentId, headers, idempotencyKey } = ctx;
        const startedAt = ctx.now();
        await ctx.sleep(20);
        return {
          ...{
            id,
            name,
            queue,
            attempt,
            rootId,
            headers,
            idempotencyKey,
            run: [runId ?? null, parentId ?? null],
          },
          sentBefore: startedAt - ctx.enqueuedAt.getTime(),
          aborted: ctx.signal.aborted,
          slept: ctx.now() - startedAt,
        };
      },
    });
    await app.worker().start();
    const result = await tell.delay();
    expect(await result.get({ timeout: '50s' })).toEqual({
      id: result.id,
      name: 'tell',
      queue: 'talk',
      attempt: 1,
      rootId: result.id,
      idempotencyKey: result.id,
      run: [null, null],
      headers: {},
      sentBefore: expect.toSatisfy((ms: number) => ms >= 0 && ms < 10_000),
      aborted: false,
      slept: expect.toSatisfy((ms: number) => ms >= 19),
    });
  });

  test('with bound keys takes the open ones when it is sent; bound keys win', async () => {
    const app = engine.app();
    const add = app.task({
      name: 'add',
      input: z.object({ x: z.number(), y: z.number() }),
      run: async ({ x, y }) => [x, y],
    });
    await app.worker().start();
    const bound = await add.s({ y: 2 }).delay({ x: 1 });
    expect(await bound.get({ timeout: '50s' })).toEqual([1, 2]);
    const into = await add.into('x', { y: 3 }).delay(7);
    expect(await into.get({ timeout: '50s' })).toEqual([7, 3]);
    const immutable = await add.si({ x: 5, y: 6 }).delay();
    expect(await immutable.get({ timeout: '50s' })).toEqual([5, 6]);
  });

  test('is refused when its input does not fit, before anything is stored', async () => {
    const app = engine.app();
    const add = app.task({ name: 'add', input: z.object({ x: z.number() }), run: async ({ x }) => x });
    const error = await add.delay({ x: 'one' as unknown as number }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({ task: 'add', subject: 'input', issues: [{ path: 'input.x' }] });
    expect(String(error)).toContain('input.x: Invalid input: expected number, received string');
  });

  test('without an input refuses one', async () => {
    const app = engine.app();
    const tick = app.task({ name: 'tick', run: async () => 1 });
    await expect((tick.delay as (input: unknown) => unknown)({})).rejects.toThrow('this task takes no input');
    const add = app.task({ name: 'add', input: z.object({ x: z.number() }), run: async () => 1 });
    await expect(add.si({ x: 1 }).delay({ x: 2 })).rejects.toThrow('immutable');
  });

  test('is refused a value that JSON would change', async () => {
    const app = engine.app();
    const keep = app.task({ name: 'keep', input: z.unknown(), run: async () => 1 });
    await expect(keep.delay({ at: new Date() })).rejects.toThrow('input.at: JSON cannot carry a Date');
    await expect(keep.delay([1, Number.NaN])).rejects.toThrow('input[1]: JSON cannot carry NaN');
  });

  test('is validated again before the handler, and a rejected payload spends no retries', async () => {
    const handler = vi.fn(async () => 1);
    const loose = defineTask({
      name: 'pay',
      input: z.object({ amount: z.number() }),
      output: z.number(),
      retry: { attempts: 5, backoff: 'fixed', delay: 1 },
    });
    const strict = defineTask({
      name: 'pay',
      input: z.object({ amount: z.number().positive() }),
      output: z.number(),
    });
    const sender = engine.app().bind(loose);
    const running = engine.sameApp();
    running.implement(strict, handler);
    await running.worker().start();
    const result = await sender.delay({ amount: -1 });
    const error = await failureOf(result);
    expect(error.cause).toBeInstanceOf(ValidationError);
    expect(error.cause).toMatchObject({ task: 'pay', issues: [{ path: 'input.amount' }] });
    expect(handler).not.toHaveBeenCalled();
    expect((await engine.bareQueue('default').getJob(result.id))?.attemptsMade).toBe(1);
  });

  test('fails when its result does not fit the output schema', async () => {
    const app = engine.app();
    const measure = app.task({
      name: 'measure',
      output: z.object({ width: z.number() }),
      run: async () => JSON.parse('{"width":"wide"}'),
    });
    await app.worker().start();
    const error = await failureOf(await measure.delay());
    expect(error.cause).toMatchObject({ name: 'ValidationError', subject: 'result' });
  });

  test('fails when JSON would change its result', async () => {
    const app = engine.app();
    const clock = app.task({ name: 'clock', run: async () => new Map() as unknown as string });
    await app.worker().start();
    const error = await failureOf(await clock.delay());
    expect(error.cause.message).toContain('result: JSON cannot carry a Map');
  });

  test('that throws rejects get() with the original error as cause', async () => {
    const app = engine.app();
    class BadAddress extends RangeError {
      override readonly name = 'BadAddress';
      readonly code = 'E_ADDRESS';
    }
    const send = app.task({
      name: 'send',
      run: async () => {
        throw new BadAddress('no @ in it', { cause: new TypeError('not text') });
      },
    });
    await app.worker().start();
    const result = await send.delay();
    const error = await failureOf(result);
    expect(error).toMatchObject({ task: 'send', jobId: result.id });
    expect(error.message).toBe(`Task "send" failed (job ${result.id}): no @ in it`);
    expect(error.cause).toBeInstanceOf(RemoteError);
    expect(error.cause).toMatchObject({ name: 'BadAddress', message: 'no @ in it', code: 'E_ADDRESS' });
    expect(error.cause.stack).toContain('tasks.test.ts');
    expect(error.cause.cause).toBeInstanceOf(TypeError);
    expect(await result.state()).toBe('failed');
  });

  test('that throws something other than an error fails with what it threw', async () => {
    const app = engine.app();
    const odd = app.task({
      name: 'odd',
      input: z.string(),
      run: async (kind) => {
        throw { text: 'plain text', nothing: null, object: { a: 1 } }[kind];
      },
    });
    await app.worker().start();
    const causes = ['text', 'nothing', 'object'].map(
      async (kind) => (await failureOf(await odd.delay(kind))).cause,
    );
    expect((await Promise.all(causes)).map(String)).toEqual([
      'NonError: plain text',
      'NonError: a value was thrown: null',
      'NonError: a value was thrown: {"a":1}',
    ]);
  });

  test.each([['DelayedError'], ['WaitingError'], ['WaitingChildrenError'], ['RateLimited']])(
    'that throws an error by a name that BullMQ gives a meaning (%s) fails like any other',
    async (name) => {
      const app = engine.app();
      const odd = app.task({
        name: 'odd',
        run: async () => {
          const message = name === 'RateLimited' ? 'bullmq:rateLimitExceeded' : 'ours';
          throw Object.assign(new Error(message), { name });
        },
      });
      await app.worker().start();
      expect((await failureOf(await odd.delay())).cause).toMatchObject({ name });
    },
  );

  test('that throws an UnrecoverableError is not retried', async () => {
    const app = engine.app();
    const handler = vi.fn(async () => {
      throw Object.assign(new Error('give up'), { name: 'UnrecoverableError', code: 'E_END' });
    });
    const end = app.task({ name: 'end', retry: { attempts: 3, delay: 1 }, run: handler });
    await app.worker().start();
    expect((await failureOf(await end.delay())).cause).toMatchObject({ message: 'give up', code: 'E_END' });
    expect(handler).toHaveBeenCalledTimes(1);
  });

  test('is retried as often as it says', async () => {
    const app = engine.app();
    const attempts: number[] = [];
    const flaky = app.task({
      name: 'flaky',
      retry: { attempts: 3, backoff: 'fixed', delay: 5 },
      run: async (_input, { attempt }) => {
        attempts.push(attempt);
        if (attempt < 3) throw new Error('not yet');
        return 'done';
      },
    });
    await app.worker().start();
    expect(await (await flaky.delay()).get({ timeout: '50s' })).toBe('done');
    expect(attempts).toEqual([1, 2, 3]);
  });

  test('without a handler here fails with the names that are known', async () => {
    const app = engine.app();
    app.task({ name: 'known', run: async () => 1 });
    const other = engine.sameApp().task({ name: 'other', run: async () => 1 });
    await app.worker().start();
    const error = await failureOf(await other.delay());
    expect(error.cause.message).toContain('Task "other" has no handler in this worker (known: "known")');
  });

  test('is given the headers it was sent with', async () => {
    const app = engine.app();
    const tell = app.task({ name: 'tell', run: async (_input, { headers }) => headers });
    await app.worker().start();
    const sent = await tell.applyAsync(undefined, { headers: { tenant: 'acme', trace: '1' } });
    expect(await sent.get({ timeout: '50s' })).toEqual({ tenant: 'acme', trace: '1' });
    const own = await tell.set({ headers: { tenant: 'own' } }).delay();
    expect(await own.get({ timeout: '50s' })).toEqual({ tenant: 'own' });
  });

  test('waits for its countdown', async () => {
    const app = engine.app();
    const tick = app.task({ name: 'tick', run: async () => Date.now() });
    await app.worker().start();
    const sentAt = Date.now();
    const result = await tick.applyAsync(undefined, { countdown: 300 });
    expect(await result.state()).toBe('delayed');
    expect((await result.get({ timeout: '50s' })) - sentAt).toBeGreaterThanOrEqual(295);
  });

  test('goes to the queue it is sent to, in the order of priority', async () => {
    const app = engine.app({ queues: ['notes'] });
    const order: string[] = [];
    const note = app.task({
      name: 'note',
      input: z.string(),
      run: async (text, { queue }) => {
        order.push(`${queue}:${text}`);
      },
    });
    const results = [
      await note.applyAsync('late', { queue: 'notes', priority: 9 }),
      await note.applyAsync('early', { queue: 'notes', priority: 1 }),
      await note.set({ queue: 'notes' }).applyAsync('first', {}),
    ];
    await app.worker({ queues: ['notes'], concurrency: 1 }).start();
    for (const result of results) await result.get({ timeout: '50s' });
    expect(order).toEqual(['notes:first', 'notes:early', 'notes:late']);
  });
});

onEveryEngine('a result', (engine) => {
  test('that does not come in time is a TimeoutError that tells the state', async () => {
    const app = engine.app();
    const tick = app.task({ name: 'tick', run: async () => 1 });
    const result = await tick.delay();
    const error = await result.get({ timeout: 60 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ jobId: result.id, timeoutMs: 60, state: 'waiting' });
    expect(String(error)).toContain('No running worker of app');
  });

  test('is given up when the signal aborts', async () => {
    const app = engine.app();
    const tick = app.task({ name: 'tick', run: async () => 1 });
    const controller = new AbortController();
    const waiting = (await tick.delay()).get({ signal: controller.signal });
    controller.abort(new Error('the user left'));
    await expect(waiting).rejects.toThrow('the user left');
  });

  test('is given up when its app is closed', async () => {
    const app = engine.app();
    const tick = app.task({ name: 'tick', run: async () => 1 });
    const waiting = (await tick.delay()).get();
    waiting.catch(() => {});
    await new Promise(setImmediate);
    await app.close();
    await expect(waiting).rejects.toThrow('The app was closed while a caller waited for a result.');
  });

  test('of a job that the store does not hold is an UnknownJobError', async () => {
    const app = engine.app();
    const tick = app.task({ name: 'tick', run: async () => 1 });
    await app.worker().start();
    const first = await tick.delay();
    await first.get({ timeout: '50s' });
    await first.forget();
    await expect(first.get({ timeout: '50s' })).rejects.toThrow(UnknownJobError);
    expect(await first.state()).toBe('unknown');
  });

  test('can be awaited many times at once', async () => {
    const app = engine.app();
    const tick = app.task({ name: 'tick', run: async () => 'tock' });
    const result = await tick.delay();
    const waiting = Promise.all(Array.from({ length: 20 }, () => result.get({ timeout: '50s' })));
    await app.worker().start();
    expect(await waiting).toEqual(Array.from({ length: 20 }, () => 'tock'));
  });
});

onEveryEngine('a worker', (engine) => {
  test('that closes lets running jobs end', async () => {
    const app = engine.app();
    const signals = new EventEmitter();
    const slow = app.task({
      name: 'slow',
      run: async () => {
        const released = once(signals, 'release');
        signals.emit('started');
        await released;
        return 'finished';
      },
    });
    const worker = await app.worker().start();
    const started = once(signals, 'started');
    const result = await slow.delay();
    await started;
    const closing = worker.close();
    signals.emit('release');
    await closing;
    expect(await result.get({ timeout: '50s' })).toBe('finished');
  });

  test('that is closed a second time waits for the same jobs', async () => {
    const app = engine.app();
    const signals = new EventEmitter();
    const slow = app.task({
      name: 'slow',
      run: async () => {
        const released = once(signals, 'release');
        signals.emit('started');
        await released;
      },
    });
    const worker = await app.worker().start();
    const started = once(signals, 'started');
    await slow.delay();
    await started;
    const order: string[] = [];
    const closes = [worker.close(), worker.close(), app.close()].map((closing) =>
      closing.then(() => order.push('closed')),
    );
    await new Promise(setImmediate);
    order.push('released');
    signals.emit('release');
    await Promise.all(closes);
    expect(order).toEqual(['released', 'closed', 'closed', 'closed']);
  });

  test('that is closed by force aborts its handlers, also after a close that waits', async () => {
    const app = engine.app();
    const signals = new EventEmitter();
    const aborted: unknown[] = [];
    const stubborn = app.task({
      name: 'stubborn',
      run: async (_input, ctx) => {
        ctx.signal.addEventListener('abort', () => aborted.push(ctx.signal.reason));
        signals.emit('started');
        await ctx.sleep('1h').catch((reason: unknown) => aborted.push(reason));
      },
    });
    const worker = await app.worker().start();
    const started = once(signals, 'started');
    const result = await stubborn.delay();
    await started;
    const waiting = worker.close();
    expect([worker.state, aborted]).toEqual(['closing', []]);
    await worker.close({ force: true });
    expect(aborted).toEqual([expect.any(WorkerClosedError), expect.any(WorkerClosedError)]);
    await waiting;
    expect(worker.state).toBe('closed');
    expect(['waiting', 'delayed']).toContain(await result.state()); // given back
    await app.close();
  });

  test('that was closed refuses to start again', async () => {
    const worker = await engine
      .app()
      .worker({ queues: ['a'] })
      .start();
    await worker.close();
    const other = engine.sameApp().worker({ queues: ['a'] });
    await other.close();
    await expect(other.start()).rejects.toThrow(
      'This worker was closed. Create another one with app.worker().',
    );
  });

  test('that is started before its tasks are defined serves none of their queues, and says so', async () => {
    const warnings: string[] = [];
    const app = engine.app({ logger: { info() {}, warn: (text) => warnings.push(text), error() {} } });
    const late = app.worker();
    app.task({ name: 'a', queue: 'mail', run: async () => 1 });
    await late.start();
    expect(late.queues).toEqual(['mail']);
    await engine.sameApp().worker().start();
    const ofWorkers = warnings.filter(
      (text) => !/the store (?:has no append-only file|does not wait for its disk)/.test(text),
    );
    expect(ofWorkers).toEqual([expect.stringContaining('the worker serves no queue')]);
  });

  test('serves the queues of its tasks unless told which', () => {
    const app = engine.app();
    app.task({ name: 'a', run: async () => 1 });
    app.task({ name: 'b', queue: 'mail', run: async () => 1 });
    app.defineTask({ name: 'c', queue: 'elsewhere' });
    expect(app.worker().queues).toEqual(['default', 'mail']);
    expect(app.worker({ queues: ['mail'] }).queues).toEqual(['mail']);
  });

  test('runs no more jobs at once than its concurrency', async () => {
    const app = engine.app();
    let running = 0;
    let most = 0;
    const job = app.task({
      name: 'job',
      run: async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise(setImmediate);
        running -= 1;
      },
    });
    const results = await Promise.all(Array.from({ length: 30 }, () => job.delay()));
    await app.worker({ concurrency: 3 }).start();
    await Promise.all(results.map((result) => result.get({ timeout: '50s' })));
    expect(most).toBeLessThanOrEqual(3);
    expect(most).toBeGreaterThan(0);
  });
});

onEveryEngine('an app', (engine) => {
  test('refuses a second task of the same name', () => {
    const app = engine.app();
    app.task({ name: 'a', run: async () => 1 });
    expect(() => app.task({ name: 'a', run: async () => 2 })).toThrow(DuplicateTaskError);
  });

  test('checks options where they are given', () => {
    const app = engine.app();
    const run = async () => 1;
    expect(() => app.task({ name: 'a:b', run })).toThrow(InvalidOptionError);
    expect(() => app.task({ name: 'b', queue: 'umbel', run })).toThrow('which is reserved for Umbel');
    expect(() => app.task({ name: 'b', priority: 1.5, run })).toThrow('`priority`');
    expect(() => app.task({ name: 'b', retry: { attempts: 0 }, run })).toThrow('`retry.attempts`');
    expect(() => app.worker({ concurrency: -1 })).toThrow(
      'Expected `concurrency` to be a whole number from 1 to 100000, got -1.',
    );
    expect(() => engine.app({ name: 'no spaces' })).toThrow('`name`');
    expect(() => engine.app({ connection: 'http://localhost' })).toThrow('redis:// or rediss:// URL');
    expect(() => engine.app({ connection: 'http://me:secret@host/0' })).toThrow('got "http://***@host/0"');
  });

  test('never sees the jobs of an app with another name', async () => {
    const one = engine.app();
    const other = engine.sameApp({ name: `${one.name}-other` });
    const handler = vi.fn(async () => 'other');
    const tick = one.task({ name: 'tick', run: async () => 'one' });
    other.task({ name: 'tick', run: handler });
    await other.worker().start();
    const result = await tick.delay();
    await one.worker().start();
    expect(await result.get({ timeout: '50s' })).toBe('one');
    expect(handler).not.toHaveBeenCalled();
  });

  test('refuses another contract of the same name, also when it has the handler', () => {
    const app = engine.app();
    app.implement(defineTask({ name: 'one', input: z.number() }), async () => {});
    expect(() => app.bind(defineTask({ name: 'one', input: z.string() }))).toThrow(DuplicateTaskError);
  });

  test('sends a contract only once it is bound', async () => {
    const contract = defineTask({ name: 'free', input: z.number(), output: z.number() });
    await expect(contract.delay(1)).rejects.toThrow(UnboundTaskError);
    expect(contract.toJSON()).toEqual({ kind: 'task', task: 'free' });
  });
});

onEveryEngine('schemas', (engine) => {
  test('with codecs carry what JSON does not, transformed once each way, and the store holds the sent form', async () => {
    const app = engine.app();
    const date = z.codec(z.iso.datetime(), z.date(), {
      decode: (text) => new Date(text),
      encode: (value) => value.toISOString(),
    });
    const bigint = z.codec(z.string(), z.bigint(), { decode: (text) => BigInt(text), encode: String });
    const entries = z.codec(z.array(z.tuple([z.string(), z.number()])), z.map(z.string(), z.number()), {
      decode: (list) => new Map(list),
      encode: (map) => [...map],
    });
    const seen: unknown[] = [];
    const transformed = vi.fn((text: string) => text.trim());
    const task = app.task({
      name: 'task',
      input: z.object({ at: date, big: bigint, counts: entries, name: z.string().transform(transformed) }),
      run: async ({ at, big, counts, name }) => {
        seen.push(at, big, counts, name);
        return `${at.getTime()} ${big + 1n} ${counts.get('a')} ${name}`;
      },
    });
    const result = await task.delay({
      at: '1970-01-01T00:00:00Z',
      big: '9007199254740993',
      counts: [['a', 1]],
      name: ' Ada ',
    });
    const stored = await engine.bareQueue('default').getJob(result.id);
    expect(stored?.data.input).toMatchObject({ big: '9007199254740993', name: ' Ada ' });
    await app.worker().start();
    expect(await result.get({ timeout: '50s' })).toBe('0 9007199254740994 1 Ada');
    expect(seen).toEqual([new Date(0), 9007199254740993n, new Map([['a', 1]]), 'Ada']);
    expect(transformed.mock.calls.map(([text]) => text)).toEqual([' Ada ', ' Ada ']); // checked when sent, decoded when run
  });
});
