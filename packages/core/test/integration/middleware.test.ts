import { chain } from '@umbel/canvas';
import { type Middleware, type OutgoingCall, type TaskContext, TimeLimitError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

interface User {
  readonly name: string;
}

/** Sends who is signed in along, and gives handlers that user. */
function signedIn(current: () => string): Middleware<{ user: User }> {
  return {
    send(call, next) {
      call.headers.user = current();
      return next();
    },
    run: (ctx, next) => next({ user: { name: ctx.headers.user ?? 'nobody' } }),
  };
}

onEveryEngine('middleware', (engine) => {
  test('goes round sendings and attempts, and adds to contexts, by their types too', async () => {
    const log: string[] = [];
    const noted: Middleware = {
      async send(call: OutgoingCall, next) {
        log.push(`send ${call.task} ${JSON.stringify(call.input)}`);
        const sent = await next();
        log.push(`sent ${sent.id.length > 0}`);
        return sent;
      },
      async run(ctx: TaskContext, next, input) {
        log.push(`run ${ctx.name} ${JSON.stringify(input)}`);
        const result = await next();
        log.push(`gave ${JSON.stringify(result)}`);
        return { wrapped: result };
      },
    };
    const app = engine.app({ middleware: [noted, signedIn(() => 'Ada')] });
    const greet = app.task({
      name: 'greet',
      input: z.object({ text: z.string() }),
      run: async ({ text }, ctx) => `${text}, ${ctx.user.name}`,
    });
    await app.worker().start();
    const result: unknown = await (await greet.delay({ text: 'Hello' })).get(soon);
    expect(result).toEqual({ wrapped: 'Hello, Ada' });
    expect(log).toEqual([
      'send greet {"text":"Hello"}',
      'sent true',
      'run greet {"text":"Hello"}',
      'gave "Hello, Ada"',
    ]);
  });

  test('sends headers with every step of a composition, and with each of many calls', async () => {
    const app = engine.app({ middleware: [signedIn(() => 'Bob')] });
    const who = app.task({
      name: 'who',
      input: z.unknown(),
      run: async (before, { headers }) => [before, headers.user ?? null],
    });
    await app.worker().start();
    expect(await (await chain(who, who).delay(0)).get(soon)).toEqual([[0, 'Bob'], 'Bob']);
    const [one] = await who.sendMany([1, 2]);
    expect(await one?.get(soon)).toEqual([1, 'Bob']);
  });

  test('sees the headers of a composition, and its own win but for those of a step itself', async () => {
    const seen: unknown[] = [];
    const noted: Middleware = {
      send: (call, next) => {
        seen.push({ ...call.headers });
        call.headers.trace = 'middleware';
        return next();
      },
    };
    const app = engine.app({ middleware: [noted] });
    const trace = app.task({
      name: 'trace',
      input: z.unknown(),
      run: async (before, { headers }) => [before, headers.trace ?? null, headers.tenant ?? null],
    });
    await app.worker().start();
    const headers = { trace: 'sender', tenant: 'acme' };
    const flow = chain(trace, trace.set({ headers: { trace: 'step' } }));
    expect(await (await flow.applyAsync(0, { headers })).get(soon)).toEqual([
      [0, 'middleware', 'acme'],
      'step',
      'acme',
    ]);
    expect(seen).toEqual([headers]);
  });

  test('sees that an attempt is given up, as the failure that it is', async () => {
    const seen: unknown[] = [];
    const watching: Middleware = {
      run: (_, next) =>
        next()
          .finally(() => seen.push('ended'))
          .catch((error) => {
            seen.push(error);
            throw error;
          }),
    };
    const app = engine.app({ middleware: [watching] });
    const slow = app.task({ name: 'slow', timeout: 20, run: () => new Promise<null>(() => {}) });
    await app.worker().start();
    await expect((await slow.delay()).get(soon)).rejects.toThrow('did not end within its timeout');
    expect(seen).toEqual(['ended', expect.any(TimeLimitError)]);
  });

  test('can put something else in the place of what a context has', async () => {
    const lines: string[] = [];
    const own: Middleware<{ log: TaskContext['log'] }> = {
      run: (ctx, next) => next({ log: { ...ctx.log, info: (text) => void lines.push(text) } }),
    };
    const app = engine.app({ middleware: [own] });
    const task = app.task({ name: 'task', run: async (_, { log }) => log.info('hello') });
    await app.worker().start();
    const result = await task.delay();
    await result.get(soon);
    expect(lines).toEqual(['hello']);
    expect(await result.logs()).toEqual([]);
  });

  test('resolves for many calls once they are stored, and sends none if it refuses one', async () => {
    const stored: string[] = [];
    const noted: Middleware = {
      async send(call, next) {
        if (call.input === 13) throw new Error('unlucky');
        const sent = await next();
        stored.push(await app.result(sent.id).state());
        return sent;
      },
    };
    const app = engine.app({ middleware: [noted] });
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    await task.sendMany([1, 2, 3]);
    expect(stored).toEqual(['waiting', 'waiting', 'waiting']);
    await expect(task.sendMany([1, 13, 3])).rejects.toThrow('unlucky');
    expect((await app.queue('default').counts()).waiting).toBe(3);
  });

  test('that throws keeps a call from being sent, and fails an attempt', async () => {
    let isOpen = false;
    const guard: Middleware = {
      send: async (_call, next) => {
        if (!isOpen) throw new Error('closed');
        return next();
      },
      run: async (ctx, next) => {
        if (ctx.attempt === 1) throw new Error('not at first');
        return next();
      },
    };
    const app = engine.app({ middleware: [guard] });
    const task = app.task({ name: 'task', retry: { attempts: 2, delay: 1 }, run: async () => 1 });
    await expect(task.delay()).rejects.toThrow('closed');
    expect((await app.queue('default').counts()).waiting).toBe(0);
    isOpen = true;
    await app.worker().start();
    const result = await task.delay();
    expect(await result.get(soon)).toBe(1);
    expect((await result.info()).attempts).toBe(2);
  });
});

onEveryEngine('hooks', (engine) => {
  test('are called round each attempt: the app’s, then the task’s', async () => {
    const log: string[] = [];
    const hooks = (owner: string) => ({
      before: (ctx: TaskContext, input: unknown) => void log.push(`${owner} before ${ctx.attempt} ${input}`),
      success: (_: TaskContext, result: unknown) => void log.push(`${owner} success ${result}`),
      retry: (_: TaskContext, error: Error) => void log.push(`${owner} retry ${error.message}`),
      failure: (_: TaskContext, error: Error) => void log.push(`${owner} failure ${error.message}`),
      always: (ctx: TaskContext) => void log.push(`${owner} always ${ctx.attempt}`),
    });
    const app = engine.app({ hooks: hooks('app') });
    const task = app.task({
      name: 'task',
      input: z.string(),
      retry: { attempts: 2, delay: 1 },
      hooks: hooks('task'),
      run: async (text, { attempt }) => {
        if (attempt === 1 || text === 'bad') throw new Error(text);
        return text.length;
      },
    });
    await app.worker().start();
    expect(await (await task.delay('good')).get(soon)).toBe(4);
    expect(log).toEqual(
      ['before 1 good', 'retry good', 'always 1', 'before 2 good', 'success 4', 'always 2'].flatMap(
        (line) => [`app ${line}`, `task ${line}`],
      ),
    );
    log.length = 0;
    await (await task.delay('bad')).outcome(soon);
    expect(log.filter((line) => line.startsWith('task'))).toEqual([
      'task before 1 bad',
      'task retry bad',
      'task always 1',
      'task before 2 bad',
      'task failure bad',
      'task always 2',
    ]);
  });

  test('before an attempt run within the middleware, on what it adds', async () => {
    const users: string[] = [];
    const app = engine.app({ middleware: [signedIn(() => 'Ada')] });
    const task = app.task({
      name: 'task',
      hooks: { before: ({ user }) => void users.push(user.name) },
      run: async () => 1,
    });
    await app.worker().start();
    await (await task.delay()).get(soon);
    expect(users).toEqual(['Ada']);
  });

  test('that throw are told to the logger and change nothing', async () => {
    const errors: string[] = [];
    const app = engine.app({ logger: { info() {}, warn() {}, error: (message) => errors.push(message) } });
    const task = app.task({
      name: 'task',
      hooks: {
        before: () => {
          throw new Error('oops');
        },
      },
      run: async () => 1,
    });
    await app.worker().start();
    expect(await (await task.delay()).get(soon)).toBe(1);
    expect(errors).toEqual([expect.stringContaining('a hook of task "task" threw: oops')]);
  });
});
