/** Sleeps and loops: what passes through them, and what does not fit. */
import { chain, group, type LoopResult, loop, sleep, when } from '@umbel/canvas';
import type { InputOf, OutputOf, Signature } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { app, area, double, fetchPage, isLarge, measure, resize } from '../support/tasks.js';

const order = app.task({
  name: 'order',
  input: z.object({ id: z.string() }),
  run: async ({ id }) => ({ id, dueAt: '2030-01-31T09:00:00Z', total: 3 }),
});
const remindOf = app.task({
  name: 'remindOf',
  input: z.object({ id: z.string(), total: z.number() }),
  run: async ({ id }) => id,
});

test('a sleep passes the type of the result before it on', () => {
  const reminded = chain(order, sleep('3d'), remindOf);
  expectTypeOf(reminded).toEqualTypeOf<Signature<'chain', { id: string }, string>>();
  const twice = chain(order, sleep('3d'), sleep.until('dueAt'), remindOf);
  expectTypeOf<OutputOf<typeof twice>>().toEqualTypeOf<string>();
  const last = chain(order, sleep('3d'), sleep(10));
  expectTypeOf<OutputOf<typeof last>>().toEqualTypeOf<{ id: string; dueAt: string; total: number }>();
  const piped = order.pipe(sleep('3d')).pipe(sleep.until('dueAt')).pipe(remindOf);
  expectTypeOf(piped).toEqualTypeOf<Signature<'chain', { id: string }, string>>();
  expectTypeOf(chain(resize, sleep('1d'), measure, sleep('1d'), area)).toEqualTypeOf<
    Signature<'chain', { path: string; width: number }, number>
  >();
});

test('a step after a sleep must take the value that the sleep passes on', () => {
  // @ts-expect-error remindOf needs an id and a total
  chain(fetchPage, sleep('3d'), remindOf);
  // @ts-expect-error remindOf needs an id and a total
  fetchPage.pipe(sleep('3d')).pipe(remindOf);
});

test('a sleep waits for a moment that the value certainly holds as text', () => {
  // @ts-expect-error there is no such key
  chain(order, sleep.until('dueOn'), remindOf);
  // @ts-expect-error it holds a number
  chain(order, sleep.until('total'), remindOf);
  // @ts-expect-error a day is no duration
  sleep('1 day');
});

test('a sleep at the start of a chain takes a type', () => {
  const later = chain(sleep<{ file: string }>('1d'), measure);
  expectTypeOf(later).toEqualTypeOf<
    Signature<'chain', { file: string }, { width: number; height: number }>
  >();
  const due = chain(sleep.until<{ file: string; at: string }>('at'), measure);
  expectTypeOf<InputOf<typeof due>>().toEqualTypeOf<{ file: string; at: string }>();
  // @ts-expect-error the key holds a number
  sleep.until<{ file: string; at: number }>('at');
  // @ts-expect-error the type of the value is not known
  chain(sleep('1d'), measure);
  chain(sleep('1d'), measure.si({ file: 'a' }));
});

test('a sleep can be a branch, a member and a part of one', () => {
  const patient = chain(order, when({ total: { gt: 2 } }, sleep('1d')), remindOf.si({ id: 'a', total: 1 }));
  expectTypeOf<OutputOf<typeof patient>>().toEqualTypeOf<string>();
  const both = chain(order, group([chain(sleep<{ id: string; total: number }>('1d'), remindOf), remindOf]));
  expectTypeOf<OutputOf<typeof both>>().toEqualTypeOf<[string, string]>();
});

const count = app.task({
  name: 'count',
  input: z.object({ n: z.number(), text: z.string() }),
  run: async ({ n, text }) => ({ n: n + 1, text, cost: 2 }),
});
const isEnough = app.task({
  name: 'isEnough',
  input: z.object({ n: z.number() }),
  run: async ({ n }) => n > 3,
});

test('a loop takes what its body takes, and gives the last value with the reason of its end', () => {
  const counted = loop(count, { until: { n: { gte: 3 } }, max: 5 });
  expectTypeOf(counted).toEqualTypeOf<
    Signature<'loop', { n: number; text: string }, LoopResult<{ n: number; text: string; cost: number }>>
  >();
  expectTypeOf<OutputOf<typeof counted>['stopped']>().toEqualTypeOf<'done' | 'max' | 'budget'>();
  const tested = loop(chain(count, sleep('1s'), count), {
    until: isEnough,
    max: 5,
    every: '10s',
    budget: { key: 'cost', max: 10 },
  });
  expectTypeOf<InputOf<typeof tested>>().toEqualTypeOf<{ n: number; text: string }>();
  expectTypeOf(loop(double, { until: isLarge, max: 50 })).toEqualTypeOf<
    Signature<'loop', number, LoopResult<number>>
  >();
  expectTypeOf(loop(count.si({ n: 1, text: '' }), { until: { n: 3 }, max: 2 })).toEqualTypeOf<
    Signature<'loop', unknown, LoopResult<{ n: number; text: string; cost: number }>>
  >();
});

test('the body of a loop must take its own result', () => {
  // @ts-expect-error measure needs a file
  loop(measure, { until: { width: 3 }, max: 5 });
  // @ts-expect-error the chain needs a path and a width
  loop(chain(resize, measure), { until: { width: 3 }, max: 5 });
});

test('the options of a loop are checked', () => {
  // @ts-expect-error max is required
  loop(count, { until: { n: 3 } });
  // @ts-expect-error until is required
  loop(count, { max: 3 });
  // @ts-expect-error the result has no such key
  loop(count, { until: { m: 3 }, max: 3 });
  // @ts-expect-error it is a number
  loop(count, { until: { n: 'three' }, max: 3 });
  // @ts-expect-error it must return true or false
  loop(count, { until: remindOf, max: 3 });
  // @ts-expect-error it does not take the result of the body
  loop(count, { until: isLarge, max: 3 });
  // @ts-expect-error a number has no keys
  loop(double, { until: { n: 3 }, max: 3 });
  // @ts-expect-error the key holds text
  loop(count, { until: { n: 3 }, max: 3, budget: { key: 'text', max: 3 } });
  // @ts-expect-error there is no such key
  loop(count, { until: { n: 3 }, max: 3, budget: { key: 'price', max: 3 } });
  // @ts-expect-error there is no such option
  loop(count, { until: { n: 3 }, max: 3, times: 3 });
});
