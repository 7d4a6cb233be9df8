/** Calls that need no input: options are not taken for one. */
import { chain, chord, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';

const app = createApp({ name: 'shop' });
const options = { idempotencyKey: 'order-1' } as const;
const charge = app.task({
  name: 'charge',
  input: z.object({ order: z.string(), amount: z.number() }),
  run: async () => 'receipt',
});
const bound = charge.s({ order: '1', amount: 5 });
const fixed = charge.si({ order: '1', amount: 5 });
const tidy = app.task({ name: 'tidy', run: async () => 1 });
const empty = app.task({ name: 'empty', input: z.object({}), run: async () => 1 });
const loose = app.task({
  name: 'loose',
  input: z.object({ limit: z.number().optional() }),
  run: async () => 1,
});
const maybe = app.task({
  name: 'maybe',
  input: z.object({ limit: z.number() }).optional(),
  run: async () => 1,
});
const anything = app.task({ name: 'anything', input: z.unknown(), run: async () => 1 });
const queued = app.task({
  name: 'queued',
  input: z.object({ queue: z.string(), priority: z.number().optional() }),
  run: async () => 1,
});

test('options in the place of the input are an error at each of them', () => {
  // @ts-expect-error an option, where all keys are bound
  void bound.applyAsync({ idempotencyKey: 'order-1' });
  // @ts-expect-error the same of a variable
  void bound.applyAsync(options);
  // @ts-expect-error the same with options of its own
  void bound.set({ priority: 1 }).tag('a').applyAsync({ countdown: '1m', queue: 'tenant-a' });
  // @ts-expect-error of an immutable call
  void fixed.applyAsync({ idempotencyKey: 'order-1' });
  // @ts-expect-error of a task without input
  void tidy.applyAsync({ idempotencyKey: 'order-1' });
  // @ts-expect-error of a task whose input has no keys
  void empty.applyAsync({ idempotencyKey: 'order-1' });
  // @ts-expect-error of a task whose keys are all optional
  void loose.applyAsync({ idempotencyKey: 'order-1' });
  // @ts-expect-error the same of a variable
  void loose.applyAsync(options);
  // @ts-expect-error of a task whose input is optional
  void maybe.applyAsync({ idempotencyKey: 'order-1' });
});

test('so they are in compositions', () => {
  // @ts-expect-error the first step has all it needs
  void chain(bound, tidy.si()).applyAsync({ idempotencyKey: 'order-1' });
  // @ts-expect-error the first step takes nothing
  void chain(fixed, tidy.si()).applyAsync({ idempotencyKey: 'order-1' });
  // @ts-expect-error the first step is a task without input
  void chain(tidy, tidy.si()).applyAsync({ idempotencyKey: 'order-1' });
  // @ts-expect-error no member takes anything
  void group([bound, fixed]).applyAsync({ idempotencyKey: 'order-1' });
  // @ts-expect-error no member takes anything
  void group({ a: bound, b: bound }).applyAsync(options);
  // @ts-expect-error no member takes anything
  void chord([fixed, fixed], anything).applyAsync({ countdown: '1m' });
  // @ts-expect-error some members take nothing, the others optional keys
  void group([loose, bound]).applyAsync({ idempotencyKey: 'order-1' });
});

test('`delay` takes no options', () => {
  // @ts-expect-error options come with applyAsync
  void bound.delay({ idempotencyKey: 'order-1' });
  // @ts-expect-error options come with applyAsync
  void charge.delay({ order: '1', amount: 5 }, { idempotencyKey: 'order-1' });
  // @ts-expect-error options come with applyAsync
  void tidy.delay({ idempotencyKey: 'order-1' });
  // @ts-expect-error options come with applyAsync
  void chain(bound, tidy.si()).delay({ idempotencyKey: 'order-1' });
  // @ts-expect-error options come with applyAsync
  void chain(charge, tidy.si()).delay({ order: '1', amount: 5 }, { idempotencyKey: 'order-1' });
});

test('options come second, whatever is left of the input', () => {
  void bound.applyAsync(undefined, options);
  void bound.applyAsync({}, options);
  void fixed.applyAsync(undefined, options);
  void tidy.applyAsync(undefined, options);
  void loose.applyAsync(undefined, options);
  void loose.applyAsync({ limit: 1 }, options);
  void maybe.applyAsync(undefined, options);
  void chain(bound, tidy.si()).applyAsync(undefined, options);
  void chain(fixed, tidy.si()).applyAsync(undefined, options);
  void group([bound, fixed]).applyAsync(undefined, options);
  void bound.delay();
  void fixed.delay();
  void group([bound, fixed]).delay();
  // @ts-expect-error something is left
  void charge.applyAsync(undefined, options);
  // @ts-expect-error something is left
  void charge.s({ order: '1' }).applyAsync(undefined, options);
  const ignored = bound.applyAsync(undefined, { ignoreResult: true });
  expectTypeOf<Awaited<ReturnType<Awaited<typeof ignored>['get']>>>().toEqualTypeOf<null>();
});

test('an input that has keys of options is an input', () => {
  void queued.applyAsync({ queue: 'a' });
  void queued.applyAsync({ queue: 'a', priority: 1 }, options);
  void queued.s({ queue: 'a' }).applyAsync({ priority: 1 });
  void queued.delay({ queue: 'a' });
  void chain(queued, tidy.si()).applyAsync({ queue: 'a', priority: 1 });
  void anything.applyAsync({ priority: 1 });
  void anything.applyAsync(5);
  void anything.delay({ priority: 1 });
  void app.signature('by.name').applyAsync({ priority: 1 });
  void chain(anything, tidy.si()).applyAsync({ priority: 1, more: true });
  void chain(anything, tidy.si()).applyAsync([options]);
  void chain(anything, tidy.si()).delay({ priority: 1 });
  const unknown: unknown = { priority: 1 };
  void chain(anything, tidy.si()).applyAsync(unknown);
  const record: Record<string, number> = { priority: 1 };
  void chain(anything, tidy.si()).applyAsync(record);
});
