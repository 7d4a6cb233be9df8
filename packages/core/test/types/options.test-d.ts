import { chain } from '@umbel/canvas';
import {
  type App,
  type AsyncResult,
  createApp,
  defineTask,
  type FailureRecord,
  type Middleware,
  type Outcome,
  type TaskContext,
} from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';

const app = createApp({ name: 'options' });

const film = app.task({
  name: 'film',
  input: z.object({ title: z.string() }),
  progress: z.object({ percent: z.number() }),
  states: ['rendering', 'uploading'],
  failures: { 'no-space': z.object({ missing: z.number() }), closed: z.undefined() },
  run: async ({ title }, ctx) => {
    await ctx.progress({ percent: 1 });
    // V65
    // @ts-expect-error it is a number
    await ctx.progress({ percent: 'all' });
    await ctx.setState('rendering');
    // @ts-expect-error the task has no such state
    await ctx.setState('renderin');
    // @ts-expect-error the failure has data
    if (title === 'a') return ctx.fail('no-space');
    // @ts-expect-error of another type
    if (title === 'b') return ctx.fail('no-space', { missing: '1' });
    // V67
    // @ts-expect-error the task declares no such failure
    if (title === 'c') return ctx.fail('no-spac', { missing: 1 });
    if (title === 'd') return ctx.fail('closed');
    if (title === 'e') return ctx.retry({ in: '5m' });
    if (title === 'f') return ctx.reject('no');
    return title.length;
  },
});

test('what a handler ends with through its context is no part of the result', async () => {
  expectTypeOf((await film.delay({ title: 'x' })).get).returns.resolves.toEqualTypeOf<number>();
});

// V69
test('progress and states are typed at the caller', async () => {
  const result = await film.delay({ title: 'x' });
  for await (const progress of result.progress()) expectTypeOf(progress).toEqualTypeOf<{ percent: number }>();
  expectTypeOf(await result.state())
    .extract<'rendering' | 'uploading'>()
    .toEqualTypeOf<'rendering' | 'uploading'>();
  // @ts-expect-error there is no such state
  const same = (await result.state()) === 'renderin';
  void same;
});

// V64
test('an outcome is told apart by its failure', async () => {
  const outcome = await (await film.delay({ title: 'x' })).outcome();
  if (outcome.ok) {
    expectTypeOf(outcome.value).toEqualTypeOf<number>();
  } else if (outcome.failure === 'no-space') {
    expectTypeOf(outcome.data).toEqualTypeOf<{ missing: number }>();
  } else if (outcome.failure === 'closed') {
    expectTypeOf(outcome.data).toEqualTypeOf<undefined>();
  } else {
    expectTypeOf(outcome.failure).toEqualTypeOf<undefined>();
    // @ts-expect-error only a declared failure has data
    void outcome.data;
  }
});

test('a task that declares none has none', async () => {
  const plain = app.task({ name: 'plain', run: async () => 1 });
  expectTypeOf(await (await plain.delay()).outcome()).toEqualTypeOf<Outcome<number>>();
  app.task({
    name: 'silent',
    run: async (_, ctx) => {
      expectTypeOf(ctx).toEqualTypeOf<TaskContext<{}>>();
      await ctx.progress({ anything: true });
      // @ts-expect-error it has no states
      await ctx.setState('any');
      // @ts-expect-error it has no failures
      return ctx.fail('any');
    },
  });
});

test('contracts carry their reports to both sides', async () => {
  const contract = app.defineTask({
    name: 'contract',
    failures: { late: z.object({ by: z.number() }) },
    output: z.string(),
  });
  app.implement(contract, async (_, ctx) => {
    // @ts-expect-error of another type
    if (ctx.attempt > 1) return ctx.fail('late', { by: 'an hour' });
    return ctx.fail('late', { by: 1 });
  });
  const outcome = await (await contract.delay()).outcome();
  if (!outcome.ok && outcome.failure === 'late') expectTypeOf(outcome.data).toEqualTypeOf<{ by: number }>();
});

test('contracts without an app carry them too', async () => {
  const contract = defineTask({ name: 'far', states: ['busy'], failures: { late: z.number() } });
  const outcome = await (await contract.delay()).outcome();
  if (!outcome.ok && outcome.failure === 'late') expectTypeOf(outcome.data).toEqualTypeOf<number>();
});

test('a handle made from an id is typed by its task', () => {
  expectTypeOf(app.result(film, 'id').get).returns.resolves.toEqualTypeOf<number>();
  expectTypeOf(app.result('id')).toEqualTypeOf<AsyncResult<unknown>>();
});

test('a result that is not stored is typed null', async () => {
  expectTypeOf(await film.applyAsync({ title: 'x' }, { ignoreResult: true })).toExtend<AsyncResult<null>>();
});

test('callbacks take the result, or the failure', () => {
  const length = app.task({ name: 'length', input: z.number(), run: async (n) => n });
  const text = app.task({ name: 'text', input: z.string(), run: async (s) => s });
  const alarm = app.task({
    name: 'alarm',
    input: z.object({ task: z.string(), error: z.object({ message: z.string() }) }),
    run: async () => null,
  });
  void film.applyAsync({ title: 'x' }, { link: length, linkError: alarm });
  void film.applyAsync({ title: 'x' }, { link: [length, chain(length, length)] });
  // @ts-expect-error the result is a number
  void film.applyAsync({ title: 'x' }, { link: text });
  // @ts-expect-error a failure is no text
  void film.applyAsync({ title: 'x' }, { linkError: text });
  expectTypeOf<FailureRecord['error']['message']>().toEqualTypeOf<string>();
});

test('the key of equal calls is made from the input', () => {
  app.task({
    name: 'index',
    input: z.object({ page: z.string() }),
    unique: { key: ({ page }) => page },
    run: async () => null,
  });
  app.task({
    name: 'wrong',
    input: z.object({ page: z.string() }),
    // @ts-expect-error there is no title
    unique: { key: ({ title }) => title },
    run: async () => null,
  });
});

test('many calls are typed as one', () => {
  void film.sendMany([{ title: 'a' }, { title: 'b' }]);
  // @ts-expect-error a number is no title
  void film.sendMany([{ title: 1 }]);
  expectTypeOf(film.sendMany).returns.resolves.items.toHaveProperty('outcome');
});

test('middleware may be written in place, alone and beside middleware that adds to contexts', () => {
  const plain = createApp({ name: 'plain', middleware: [{ run: (_, next) => next() }] });
  expectTypeOf(plain).toEqualTypeOf<App<{}>>();
  const signedIn: Middleware<{ user: string }> = { run: (_, next) => next({ user: 'Ada' }) };
  const both = createApp({
    name: 'both',
    middleware: [
      {
        send: (call, next) => {
          expectTypeOf(call.headers).toEqualTypeOf<Record<string, string>>();
          return next();
        },
        run: async (ctx, next, input) => {
          expectTypeOf(ctx.id).toEqualTypeOf<string>();
          expectTypeOf(input).toEqualTypeOf<unknown>();
          return next();
        },
      },
      signedIn,
    ],
  });
  expectTypeOf(both).toExtend<App<{ user: string }>>();
  expectTypeOf(createApp({ name: 'none' })).toEqualTypeOf<App<{}>>();
  // @ts-expect-error next() gives no job's id
  createApp({ name: 'wrong', middleware: [{ send: async () => 'sent' }] });
});

test('middleware adds to the contexts of handlers, hooks and implementations', () => {
  const signedIn: Middleware<{ user: string }> = {
    run: (ctx, next) => next({ user: ctx.headers.user ?? '' }),
  };
  const timed: Middleware = { run: (_, next) => next() };
  const odd: Middleware<{ user: string }> = {
    // @ts-expect-error the user is not given
    run: (_, next) => next(),
  };
  void odd;
  const scoped = createApp({ name: 'scoped', middleware: [timed, signedIn] });
  const who = scoped.task({
    name: 'who',
    hooks: {
      before: (ctx) => void ctx.user.length,
      success: (ctx) => void ctx.user?.length,
      // @ts-expect-error middleware may have ended the attempt before it gave the user
      failure: (ctx) => void ctx.user.length,
    },
    run: async (_, ctx) => ctx.user,
  });
  expectTypeOf(who.delay).returns.resolves.toEqualTypeOf<AsyncResult<string, {}>>();
  scoped.implement(scoped.defineTask({ name: 'other', output: z.string() }), async (_, ctx) => ctx.user);
  app.task({
    name: 'nobody',
    // @ts-expect-error this app has no such middleware
    run: async (_, ctx) => ctx.user,
  });
  expectTypeOf(scoped).toExtend<App<{ user: string }>>();
});
