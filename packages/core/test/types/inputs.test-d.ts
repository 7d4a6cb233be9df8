/** Inputs of every shape: what can be bound, what stays open, and what JSON can carry of it. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { createApp, type InputOf, type OutputOf, type Signature, type Task } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { app, greet, notify } from '../../../canvas/test/support/tasks.js';

const deep = app.task({
  name: 'deep',
  input: z.object({
    at: z.object({ x: z.number(), more: z.object({ y: z.string() }).optional() }),
    list: z.array(z.object({ key: z.number() })),
    counts: z.record(z.string(), z.number()),
    free: z.unknown(),
    open: z.any(),
  }),
  run: async () => 1,
});

// V66
test('any Standard Schema describes a task', () => {
  const text = {} as StandardSchemaV1<{ a: string }, { a: Date }>;
  const plain = app.task({ name: 'plain', input: text, run: async ({ a }) => a.getTime() });
  expectTypeOf<InputOf<typeof plain>>().toEqualTypeOf<{ a: string }>();
  expectTypeOf<OutputOf<typeof plain>>().toEqualTypeOf<number>();
  const both = app.defineTask({ name: 'both', input: text, output: {} as StandardSchemaV1<string, string> });
  expectTypeOf<OutputOf<typeof both>>().toEqualTypeOf<string>();
});

test('a misspelt key is an error at any depth', () => {
  deep.s({ at: { x: 1, more: { y: 'a' } } });
  // @ts-expect-error there is no z
  deep.s({ at: { x: 1, z: 2 } });
  deep.s({
    at: {
      x: 1,
      // @ts-expect-error there is no z
      more: { y: 'a', z: 2 },
    },
  });
  // @ts-expect-error x is a number
  deep.s({ at: { x: '1' } });
});

test('what is free may hold anything', () => {
  const bound = deep.s({ counts: { any: 1 }, free: { any: 1 }, open: { any: 1 } });
  expectTypeOf<keyof InputOf<typeof bound>>().toEqualTypeOf<'at' | 'list'>();
});

test('a key bound by an object that may not have it stays open', () => {
  const maybe: { name?: string } = {};
  expectTypeOf<InputOf<ReturnType<typeof bindMaybe>>>().toEqualTypeOf<{
    name: string;
    greeting?: string | undefined;
  }>();
  function bindMaybe() {
    return greet.s(maybe);
  }
});

test('a spread of a part binds its keys', () => {
  const part = { greeting: 'hello' } as const;
  const bound = greet.s({ ...part });
  expectTypeOf<InputOf<typeof bound>>().toEqualTypeOf<{ name: string }>();
  // @ts-expect-error there is no other
  greet.s({ ...part, other: 1 });
});

test('an optional key stays optional', () => {
  const bound = greet.s({ name: 'a' });
  expectTypeOf<InputOf<typeof bound>>().toEqualTypeOf<{ greeting?: string | undefined }>();
  expectTypeOf(bound.delay).toBeCallableWith();
});

test('a discriminant of a union that does not exist is told with those that do', () => {
  // @ts-expect-error no such way
  notify.s({ via: 'fax' });
  // @ts-expect-error a message by sms has no `to`
  notify.s({ via: 'sms', to: 'a' });
  const both = notify.s({ text: 'a' });
  expectTypeOf<InputOf<typeof both>>().toEqualTypeOf<
    { via: 'mail'; to: string } | { via: 'sms'; phone: number }
  >();
});

test('a list cannot hold undefined, an object can leave a key out', () => {
  // @ts-expect-error input[] is undefined
  app.task({ name: 'a', input: z.array(z.string().optional()), run: async () => 1 });
  // @ts-expect-error input.names[] is undefined
  app.task({ name: 'b', input: z.object({ names: z.array(z.string().optional()) }), run: async () => 1 });
  // @ts-expect-error input[] is undefined
  app.task({ name: 'c', input: z.tuple([z.string(), z.undefined()]), run: async () => 1 });
  app.task({ name: 'd', input: z.tuple([z.string(), z.string().optional()]), run: async () => 1 });
  app.task({ name: 'e', input: z.object({ name: z.string().optional() }), run: async () => 1 });
  // @ts-expect-error result[] is undefined
  app.task({ name: 'f', run: async () => [1, undefined] });
  // @ts-expect-error result[] is undefined
  app.task({ name: 'g', run: async () => Promise.all([Promise.resolve()]) });
});

test('recursive types, interfaces and JSON itself are carried', () => {
  interface Tree {
    value: number;
    children: Tree[];
  }
  const grow = app.task({
    name: 'grow',
    input: z.json(),
    run: async (): Promise<Tree> => ({ value: 1, children: [] }),
  });
  expectTypeOf<OutputOf<typeof grow>>().toEqualTypeOf<Tree>();
  interface Bad {
    at: Date;
    children: Bad[];
  }
  // @ts-expect-error result.at is a Date
  app.task({ name: 'bad', run: async (): Promise<Bad> => ({ at: new Date(), children: [] }) });
});

test('never and any do not travel', () => {
  const throws = app.task({
    name: 'throws',
    run: async () => {
      throw new Error();
    },
  });
  expectTypeOf<OutputOf<typeof throws>>().toEqualTypeOf<never>();
  const pair = app.task({ name: 'pair', run: async () => JSON.parse('') });
  expectTypeOf<OutputOf<typeof pair>>().toEqualTypeOf<unknown>();
});

test('a task can be annotated', () => {
  const annotated: Task<'add', { x: number }, number> = createApp({ name: 'x' }).task({
    name: 'add',
    input: z.object({ x: z.number() }),
    run: async ({ x }) => x,
  });
  const call: Signature<string, unknown, number> = annotated.si({ x: 1 });
  expectTypeOf(call.delay).toBeCallableWith();
});
