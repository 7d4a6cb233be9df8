/** Inputs of every shape: what can be bound, what stays open, and what JSON can carry of it. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { createApp, type InputOf, type OutputOf, type Signature, type Task } from '@umbel/core';
import * as v from 'valibot';
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

const loose = app.task({
  name: 'loose',
  input: z.looseObject({ url: z.string(), size: z.number(), note: z.string().optional() }),
  run: async () => 1,
});

test('a key goes only into a member of a union that has it', () => {
  notify.into('to', { via: 'mail', text: 'a' });
  // @ts-expect-error a message by sms has no `to`, and the value would be lost
  notify.into('to', { via: 'sms', phone: 1, text: 'a' });
  notify.into('text', { via: 'sms', phone: 1 });
  const into = notify.into('phone', { via: 'sms', text: 'a' });
  expectTypeOf<InputOf<typeof into>>().toEqualTypeOf<number>();
});

test('a bound key leaves only those members of a union that have it', () => {
  const mail = notify.s({ to: 'a', text: 'b' });
  expectTypeOf<InputOf<typeof mail>>().toEqualTypeOf<{ via: 'mail' }>();
  // @ts-expect-error no member has both
  notify.s({ to: 'a', phone: 1 });
  const nested = app.task({
    name: 'nested',
    input: z.object({
      by: z.discriminatedUnion('via', [
        z.object({ via: z.literal('mail'), to: z.string() }),
        z.object({ via: z.literal('sms'), phone: z.number() }),
      ]),
    }),
    run: async () => 1,
  });
  nested.s({ by: { via: 'mail', to: 'a' } });
  // @ts-expect-error a message by sms has no `to`
  nested.s({ by: { via: 'sms', phone: 1, to: 'a' } });
});

test('an input that takes other keys, too, still needs those that it names', () => {
  const bound = loose.s({ size: 1, more: true });
  expectTypeOf<InputOf<typeof bound>>().toEqualTypeOf<{
    [key: string]: unknown;
    url: string;
    note?: string | undefined;
  }>();
  expectTypeOf(bound.delay).toBeCallableWith({ url: 'a', other: 1 });
  // @ts-expect-error url is missing
  void bound.delay({ other: 1 });
  // @ts-expect-error url is missing
  void bound.delay();
  expectTypeOf(loose.s({ size: 1, url: 'a' }).delay).toBeCallableWith();
  loose.into('url', { size: 1 });
  loose.into('more', { size: 1, url: 'a' });
  // @ts-expect-error size is missing
  loose.into('url');
  // @ts-expect-error size is missing
  loose.into('url', { other: 1 });
  // @ts-expect-error size is a number
  loose.s({ size: 'a' });
});

test('an object with any keys binds none of those that are named', () => {
  function bindAny(some: Record<string, string>) {
    return app
      .task({
        name: 'texts',
        input: z.object({ url: z.string() }).catchall(z.string()),
        run: async () => 1,
      })
      .s(some);
  }
  expectTypeOf<InputOf<ReturnType<typeof bindAny>>>().toEqualTypeOf<{ [key: string]: string; url: string }>();
});

test('all kinds of open objects keep the keys that they name', () => {
  const caught = app.task({
    name: 'caught',
    input: z.object({ url: z.string(), size: z.string() }).catchall(z.string()),
    run: async () => 1,
  });
  // @ts-expect-error size is missing
  caught.into('url');
  const ofValibot = app.task({
    name: 'ofValibot',
    input: v.looseObject({ url: v.string(), size: v.number() }),
    run: async () => 1,
  });
  // @ts-expect-error size is missing
  ofValibot.into('url');
  // @ts-expect-error url is missing
  void ofValibot.s({ size: 1 }).delay({});
  interface Indexed {
    url: string;
    size: number;
    [key: string]: string | number;
  }
  const indexed = app.task({
    name: 'indexed',
    input: {} as StandardSchemaV1<Indexed, Indexed>,
    run: async () => 1,
  });
  // @ts-expect-error size is missing
  indexed.into('url');
  // @ts-expect-error url is missing
  void indexed.s({ size: 1 }).delay({});
});
