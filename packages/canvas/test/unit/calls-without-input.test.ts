/** Options that are given as the input of a call that needs none are refused: they would be dropped. */
import { randomUUID } from 'node:crypto';
import { chain, chord, group, map } from '@umbel/canvas';
import { type AsyncResult, createApp, isUmbelError } from '@umbel/core';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { memory } from '../../../../test/engines.js';

/** As JavaScript sees a signature. */
interface Untyped {
  delay(...args: unknown[]): Promise<AsyncResult<unknown>>;
  applyAsync(...args: unknown[]): Promise<AsyncResult<unknown>>;
}

const logger = { info() {}, warn() {}, error() {} };
const open = () => createApp({ name: 'shop', connection: memory(), logger });
let app = open();
afterEach(async () => {
  await app.close();
  app = open();
});

function toolbox() {
  const order = z.object({ id: z.string(), amount: z.number(), note: z.string().optional() });
  const echo = async (input: unknown) => input ?? null;
  const charge = app.task({ name: 'charge', input: order, run: echo });
  const tidy = app.task({ name: 'tidy', run: async () => 'tidy' });
  const loose = app.task({ name: 'loose', input: z.object({ limit: z.number().optional() }), run: echo });
  const strict = app.task({ name: 'strict', input: z.strictObject({ id: z.string() }), run: echo });
  const maybe = app.task({ name: 'maybe', input: z.object({ limit: z.number() }).optional(), run: echo });
  const defaults = app.task({
    name: 'defaults',
    input: z.object({
      at: z.string().default(() => randomUUID()),
      list: z.array(z.number()).default([]),
    }),
    run: echo,
  });
  const slow = app.task({
    name: 'slow',
    input: z.object({ id: z.string() }).refine(async () => true),
    run: echo,
  });
  return { charge, tidy, loose, strict, maybe, defaults, slow };
}

/** Signatures that need nothing. */
const COMPLETE: Record<string, (tools: ReturnType<typeof toolbox>) => object> = {
  'all keys bound': ({ charge }) => charge.s({ id: '1', amount: 5 }),
  'all keys bound, with options': ({ charge }) =>
    charge.s({ id: '1', amount: 5 }).set({ queue: 'default' }).tag('a'),
  immutable: ({ charge }) => charge.si({ id: '1', amount: 5 }),
  'a task without input': ({ tidy }) => tidy,
  'a strict schema': ({ strict }) => strict.s({ id: '1' }),
  'optional keys': ({ loose }) => loose,
  'an optional input': ({ maybe }) => maybe.s(),
  'defaults that are never the same': ({ defaults }) => defaults,
  'an asynchronous schema': ({ slow }) => slow.s({ id: '1' }),
  'a chain of bound keys': ({ charge, tidy }) => chain(charge.s({ id: '1', amount: 5 }), tidy.si()),
  'a chain of immutable steps': ({ charge, tidy }) => chain(charge.si({ id: '1', amount: 5 }), tidy.si()),
  'a chain from a task without input': ({ tidy }) => chain(tidy, tidy.si()),
  'a group': ({ charge, slow }) => group([charge.s({ id: '1', amount: 5 }), slow.s({ id: '1' })]),
  'a group with optional keys': ({ charge, loose }) => group([charge.s({ id: '1', amount: 5 }), loose]),
  'a chord': ({ charge, tidy }) => chord([charge.s({ id: '1', amount: 5 })], tidy.si()),
  'a chain of one': ({ charge }) => chain(charge.s({ id: '1', amount: 5 })),
};

const untyped = (signature: object) => signature as Untyped;

describe.each(Object.entries(COMPLETE))('%s', (_, make) => {
  test('refuses options as its input, and says where they belong', async () => {
    const signature = untyped(make(toolbox()));
    for (const call of [
      () => signature.applyAsync({ idempotencyKey: 'order-1' }),
      () => signature.delay({ idempotencyKey: 'order-1' }),
    ]) {
      const error: unknown = await call().catch((thrown: unknown) => thrown);
      expect(isUmbelError(error)).toBe(true);
      expect((error as Error).message).toMatch(/applyAsync\((undefined|\{\}), \{ idempotencyKey \}\)/);
    }
    const { waiting, delayed } = await app.queue('default').counts();
    expect(waiting + delayed).toBe(0);
  });

  test('takes them where it says', async () => {
    const signature = untyped(make(toolbox()));
    const error: Error = await signature.applyAsync({ idempotencyKey: 'order-1' }).then(
      () => new Error('nothing was refused'),
      (thrown: Error) => thrown,
    );
    const first = error.message.includes('applyAsync({}') ? {} : undefined;
    const sent = await signature.applyAsync(first, { idempotencyKey: 'order-1' });
    const again = await signature.applyAsync(first, { idempotencyKey: 'order-1' });
    expect(again.id).toBe(sent.id);
  });

  test('refuses arguments after the input of delay', async () => {
    const signature = untyped(make(toolbox()));
    await expect(signature.delay(undefined, { idempotencyKey: 'order-1' })).rejects.toThrow('applyAsync');
  });
});

test('what is needed is asked for first', async () => {
  const { charge } = toolbox();
  await expect(untyped(charge).applyAsync({ idempotencyKey: 'a' })).rejects.toThrow('input.id');
  await expect(untyped(charge.s({ id: '1' })).applyAsync({ idempotencyKey: 'a' })).rejects.toThrow(
    'input.amount',
  );
});

test('an input that has keys of options, and an effect, is an input', async () => {
  const run = async (input: unknown) => input;
  const { tidy } = toolbox();
  const queued = app.task({ name: 'queued', input: z.object({ queue: z.string() }), run });
  const level = app.task({
    name: 'level',
    input: z
      .object({ priority: z.number().optional() })
      .transform(({ priority = 0 }) => ({ level: priority })),
    run: async () => 1,
  });
  const free = app.task({ name: 'free', input: z.unknown(), run });
  const record = app.task({ name: 'record', input: z.record(z.string(), z.unknown()), run });
  const open = app.task({ name: 'open', input: z.looseObject({}), run });
  const keyed = app.task({ name: 'keyed', input: z.object({ options: z.looseObject({}) }), run });
  const input = { priority: 1 };
  for (const call of [level, free, record, open, chain(free, tidy.si()), chain(level, tidy.si())])
    await expect(untyped(call).applyAsync(input)).resolves.toBeDefined();
  await expect(untyped(queued).applyAsync({ queue: 'a' })).resolves.toBeDefined();
  await expect(untyped(keyed.into('options')).applyAsync(input)).resolves.toBeDefined();
  await expect(untyped(group([tidy.si(), free])).applyAsync(input)).resolves.toBeDefined();
  // The worker knows what the sender does not.
  await expect(app.signature('by.name').applyAsync(input)).resolves.toBeDefined();
  await expect(app.send('by.name', input)).resolves.toBeDefined();
});

test('more than options is an input, however little of it is needed', async () => {
  const { loose } = toolbox();
  const row = { id: 'a', priority: 1, tags: [] };
  await expect(untyped(loose).applyAsync(row)).resolves.toBeDefined();
  await expect(untyped(loose).applyAsync({})).resolves.toBeDefined();
});

test('methods that take no options refuse them, also in sendMany', async () => {
  const { charge, tidy } = toolbox();
  const options = { queue: 'other' };
  const make = charge as unknown as Record<'s' | 'si' | 'into', (...args: unknown[]) => unknown>;
  expect(() => make.s({ id: '1' }, options)).toThrow('.s({ … }).set({ … })');
  expect(() => make.si({ id: '1', amount: 5 }, options)).toThrow('.si(input).set({ … })');
  expect(() => make.into('id', {}, options)).toThrow('.set({ … })');
  await expect(untyped(tidy).delay(undefined, options)).rejects.toThrow('applyAsync(input, { … })');
  const bulk = { idempotencyKey: 'a' } as object;
  await expect(charge.sendMany([{ id: '1', amount: 5 }], bulk)).rejects.toThrow('`idempotencyKey`');
  // What `map` of an array gives after its first argument is no object of options.
  const sent = await Promise.all([undefined, undefined].map(untyped(tidy).delay.bind(tidy)));
  expect(sent).toHaveLength(2);
});

test('in a handler, what replaces and what is added takes no options either', async () => {
  const { tidy } = toolbox();
  const parent = app.task({
    name: 'parent',
    input: z.enum(['replace', 'addToGroup']),
    run: async (method, ctx) => {
      const change = ctx[method] as (...args: unknown[]) => Promise<void>;
      await change(tidy, undefined, { queue: 'other' });
      return 'dropped';
    },
  });
  await app.worker().start();
  for (const method of ['replace', 'addToGroup'] as const) {
    const run = await group([parent.si(method)]).delay();
    await expect(run.get({ timeout: '50s' })).rejects.toThrow(`ctx.${method}(step.set({ … }), input)`);
  }
});

test('a map over inputs takes no options as its input', async () => {
  const { charge } = toolbox();
  const mapped = untyped(map(charge, [{ id: '1', amount: 5 }]));
  await expect(mapped.applyAsync({ idempotencyKey: 'a' })).rejects.toThrow(
    'applyAsync(undefined, { idempotencyKey })',
  );
});

test.each<[string, unknown]>([
  ['text', 'o1'],
  ['a number', 3],
  ['a list', [1, 2]],
  ['null', null],
])('keys are bound by an object: %s is refused, with the way out', (_, value) => {
  const echo = app.task({ name: 'echo', input: z.unknown(), run: async (input) => input });
  expect(() => echo.s(value as never)).toThrow('use .si(input)');
  expect(() => echo.into('key' as never, value as never)).toThrow('an object of the keys to bind');
});
