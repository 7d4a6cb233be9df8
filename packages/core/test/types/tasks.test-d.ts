import { type AsyncResult, createApp, defineTask, type InputOf, type OutputOf } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import {
  add,
  app,
  cleanup,
  double,
  fibonacci,
  greet,
  isoDate,
  notify,
  type parse,
  remind,
  scale,
} from '../../../canvas/test/support/tasks.js';

// V01
test('delay gives a handle typed by what the handler returns', () => {
  expectTypeOf(add.delay({ x: 1, y: 2 })).resolves.toEqualTypeOf<AsyncResult<number>>();
  expectTypeOf<Awaited<ReturnType<AsyncResult<number>['get']>>>().toEqualTypeOf<number>();
});

test('an async result cannot be awaited by accident', () => {
  expectTypeOf<AsyncResult<number>>().not.toHaveProperty('then');
});

// V02
test('delay refuses a missing key', () => {
  // @ts-expect-error y is missing
  void add.delay({ x: 1 });
});

// V03
test('delay refuses a key that the task does not have', () => {
  // @ts-expect-error there is no z
  void add.delay({ x: 1, y: 2, z: 3 });
});

// V04
test('delay refuses to be called without a required input', () => {
  // @ts-expect-error an input is required
  void add.delay();
});

// V05, V06
test('a task without input is called without one', () => {
  expectTypeOf(cleanup.delay).parameters.toEqualTypeOf<[]>();
  // @ts-expect-error this task takes no input
  void cleanup.delay({});
});

// V05
test('an optional key may be left out', () => {
  expectTypeOf(greet.delay).toBeCallableWith({ name: 'a' });
});

// V07, V08
test('the producer sends the encoded form, with defaults left out', () => {
  expectTypeOf(remind.delay).toBeCallableWith({ at: '2026-01-01T00:00:00Z' });
  // @ts-expect-error a Date is what the handler gets, not what is sent
  void remind.delay({ at: new Date() });
});

// V09
test('the handler receives the decoded form, with defaults filled in', () => {
  app.task({
    name: 'decoded',
    input: z.object({ at: isoDate, times: z.number().default(1) }),
    run: async (input) => {
      expectTypeOf(input).toEqualTypeOf<{ at: Date; times: number }>();
    },
  });
});

// V10
test('an input that JSON cannot carry is refused where the task is defined', () => {
  // @ts-expect-error input.at is a Date
  app.task({ name: 'dates', input: z.object({ at: z.date() }), run: async () => 1 });
  // @ts-expect-error input.sizes is a Map
  app.task({ name: 'maps', input: z.object({ sizes: z.map(z.string(), z.number()) }), run: async () => 1 });
});

// V11
test('a result that JSON cannot carry is refused where the task is defined', () => {
  // @ts-expect-error result.at is a Date
  app.task({ name: 'dates', run: async () => ({ at: new Date() }) });
  // @ts-expect-error a bigint
  app.task({ name: 'bigints', run: async () => 1n });
});

test('a name and a message are plain data, an error is not', () => {
  interface Notice {
    name: string;
    message: string;
  }
  const notice: Notice = { name: 'Ada', message: 'hello' };
  app.task({ name: 'notice', run: async () => ({ notices: [notice] }) });
  // @ts-expect-error JSON would leave nothing of an error
  app.task({ name: 'error', run: async () => ({ error: new TypeError('no') }) });
});

// V12
test('a handler must return what the output schema says', () => {
  // @ts-expect-error ok is a string
  app.task({ name: 'outputs', output: z.object({ ok: z.boolean() }), run: async () => ({ ok: 'yes' }) });
});

// V13
test('literals keep their type against an output schema', () => {
  const task = app.task({
    name: 'literals',
    input: z.number(),
    output: z.object({ size: z.enum(['small', 'large']) }),
    run: async (n) => ({ size: n > 3 ? 'large' : 'small' }),
  });
  expectTypeOf<OutputOf<typeof task>>().toEqualTypeOf<{ size: 'small' | 'large' }>();
});

// V62
test('a handler that returns any gives unknown', () => {
  expectTypeOf<OutputOf<typeof parse>>().toEqualTypeOf<unknown>();
});

test('undefined in a result arrives as null, as JSON has it', () => {
  const find = app.task({ name: 'find', run: async (): Promise<string | undefined> => undefined });
  expectTypeOf<OutputOf<typeof find>>().toEqualTypeOf<string | null>();
});

test('a readonly result arrives as a fresh copy', () => {
  const list = app.task({ name: 'list', run: async (): Promise<readonly number[]> => [1] });
  expectTypeOf<OutputOf<typeof list>>().toEqualTypeOf<number[]>();
});

// V14
test('binding keys leaves the others open', () => {
  const bound = add.s({ y: 2 });
  expectTypeOf<InputOf<typeof bound>>().toEqualTypeOf<{ x: number }>();
  expectTypeOf(bound.delay).toBeCallableWith({ x: 1 });
});

test('a bound discriminant narrows a union input', () => {
  const bound = notify.s({ via: 'sms' });
  expectTypeOf<InputOf<typeof bound>>().toEqualTypeOf<{ phone: number; text: string }>();
});

// V15
test('s refuses a value of the wrong type', () => {
  // @ts-expect-error y is a number
  add.s({ y: '2' });
});

// V16, V17
test('s refuses a misspelt key and an extra one', () => {
  // @ts-expect-error there is no yy
  add.s({ yy: 2 });
  // @ts-expect-error there is no z
  add.s({ y: 2, z: 3 });
});

// V18
test('a bound key cannot be given again', () => {
  // @ts-expect-error y is bound
  void add.s({ y: 2 }).delay({ x: 1, y: 3 });
});

// V19
test('keys cannot be bound on a scalar input', () => {
  // @ts-expect-error double takes one value
  double.s({});
});

// V20, V21
test('an immutable call is complete', () => {
  expectTypeOf(add.si).toBeCallableWith({ x: 1, y: 2 });
  expectTypeOf(add.si({ x: 1, y: 2 }).delay).toBeCallableWith();
  // @ts-expect-error y is missing
  add.si({ x: 1 });
});

// V23
test('into needs the keys that are left', () => {
  expectTypeOf<InputOf<ReturnType<typeof add.into<'x'>>>>().toEqualTypeOf<number>();
  // @ts-expect-error y is missing
  add.into('x');
  // @ts-expect-error there is no z
  add.into('z', { x: 1, y: 2 });
});

// V56, V57
test('a contract is implemented with the decoded input and the encoded output', () => {
  app.implement(scale, async (input) => {
    expectTypeOf(input).toEqualTypeOf<{ file: string; by: number }>();
    return { file: input.file };
  });
  // @ts-expect-error the result has no file
  app.implement(scale, async (input) => ({ path: input.file }));
});

// V59
test('a task that waits for itself is typed through its contract', () => {
  const bound = app.bind(fibonacci);
  app.implement(bound, async (n) => (n < 2 ? n : await (await bound.delay(n - 1)).get()));
  expectTypeOf<OutputOf<typeof bound>>().toEqualTypeOf<number>();
});

test('a contract without an output gives nothing', () => {
  const contract = defineTask({ name: 'purge', input: z.object({ days: z.number() }) });
  expectTypeOf<OutputOf<typeof contract>>().toEqualTypeOf<void>();
});

test('an app needs a name', () => {
  // @ts-expect-error name is missing
  createApp({});
});

test('a duration is milliseconds or text with a unit', () => {
  expectTypeOf(add.set).toBeCallableWith({ countdown: '10m' });
  // @ts-expect-error no such unit
  add.set({ countdown: '10 parsecs' });
});

test('ctx.addToGroup takes the input of a member, if it needs one, and then its options', () => {
  const page = app.task({ name: 'page', input: z.object({ url: z.string() }), run: async () => 1 });
  const tick = app.task({ name: 'tick', run: async () => 1 });
  app.task({
    name: 'crawl',
    run: async (_, ctx) => {
      await ctx.addToGroup(page, { url: '/a' }, { key: '/a' });
      await ctx.addToGroup(page.si({ url: '/a' }), undefined, { key: '/a' });
      await ctx.addToGroup(tick);
      await ctx.addToGroup(tick, undefined, { key: 'tick' });
      // @ts-expect-error the input is missing
      await ctx.addToGroup(page);
      // @ts-expect-error options are no input
      await ctx.addToGroup(tick, { key: 'tick' });
      // @ts-expect-error a member has no such option
      await ctx.addToGroup(page, { url: '/a' }, { queue: 'other' });
    },
  });
});
