/** Sleeps and loops: what passes through them, and what does not fit. */
import { chain, group, sleep, when } from '@umbel/canvas';
import type { InputOf, OutputOf, Signature } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { app, area, fetchPage, measure, resize } from '../support/tasks.js';

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
