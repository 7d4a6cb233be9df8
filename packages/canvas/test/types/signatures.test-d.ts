/** The methods of signatures: tasks, calls and compositions alike. */
import { chain, fromJSON, group } from '@umbel/canvas';
import type { FailureRecord, NamedTask, OutputOf, Signature, StepOutcome } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import {
  add,
  alarm,
  app,
  cleanup,
  double,
  fetchPage,
  measure,
  resize,
  sum,
  upload,
} from '../support/tasks.js';

// V33
test('pipe goes on with the result', () => {
  const piped = fetchPage.pipe(resize.s({ width: 1 })).pipe(measure);
  expectTypeOf(piped).toEqualTypeOf<Signature<'chain', { url: string }, { width: number; height: number }>>();
  expectTypeOf(add.s({ x: 1 }).pipe(double)).toEqualTypeOf<Signature<'chain', { y: number }, number>>();
  expectTypeOf(group([double, double]).pipe(sum)).toEqualTypeOf<Signature<'chain', number, number>>();
  expectTypeOf(double.pipe(group([double, double]))).toEqualTypeOf<
    Signature<'chain', number, [number, number]>
  >();
});

// V34
test('pipe reports each step that does not fit', () => {
  fetchPage
    // @ts-expect-error fetchPage gives no file
    .pipe(measure)
    // @ts-expect-error measure gives no x and y
    .pipe(add)
    .pipe(double);
  // @ts-expect-error it was sent already
  double.pipe(double.delay(1));
  // @ts-expect-error nothing is no step
  double.pipe();
});

test('a callback takes the result', () => {
  expectTypeOf(double.link(double)).toEqualTypeOf<Signature<'double', number, number>>();
  double
    .link(add.into('x', { y: 1 }))
    .link(cleanup.si())
    .link(chain(double, double));
  // @ts-expect-error the result is a number
  double.link(fetchPage);
  // @ts-expect-error the result is a list of numbers
  group([double, double]).link(double);
  // @ts-expect-error it was sent already
  double.link(double.delay(1));
  // @ts-expect-error one callback at a time
  double.link([double]);
});

test('a callback of failures takes a record', () => {
  expectTypeOf(double.linkError(alarm)).toEqualTypeOf<Signature<'double', number, number>>();
  chain(double, double).linkError(alarm).linkError(cleanup.si());
  // @ts-expect-error a record is no number
  double.linkError(double);
  const strict = app.task({
    name: 'strict',
    input: z.object({ error: z.object({ message: z.number() }) }),
    run: async () => 1,
  });
  // @ts-expect-error the message is text
  double.linkError(strict);
});

test('a callback of any end takes an outcome', () => {
  const log = app.task({ name: 'log', input: z.object({ ok: z.boolean() }), run: async () => null });
  double.finally(log).finally(cleanup.si());
  const onlyValues = app.task({
    name: 'onlyValues',
    input: z.object({ value: z.number() }),
    run: async () => 1,
  });
  // @ts-expect-error it may have failed
  double.finally(onlyValues);
  expectTypeOf<StepOutcome<number>>().toEqualTypeOf<
    { readonly ok: true; readonly value: number } | { readonly ok: false; readonly error: FailureRecord }
  >();
});

test('callbacks and labels keep the type, what a task declares included', async () => {
  const linked = upload
    .link(cleanup.si())
    .linkError(alarm)
    .finally(cleanup.si())
    .tag('a', 'b')
    .set({ tags: ['c'] });
  expectTypeOf(linked.delay({ key: 'a' })).toEqualTypeOf<ReturnType<typeof upload.delay>>();
  // @ts-expect-error labels are text
  upload.tag(1);
  // @ts-expect-error labels are a list
  upload.set({ tags: 'a' });
});

test('a signature is not sent by being awaited', async () => {
  expectTypeOf(double).not.toHaveProperty('then');
  expectTypeOf(await chain(double, double)).toEqualTypeOf<Signature<'chain', number, number>>();
  expectTypeOf(await group([double])).toEqualTypeOf<Signature<'group', number, [number]>>();
});

test('a signature from its JSON takes and gives anything', () => {
  const again = fromJSON(app, {});
  expectTypeOf(again).toEqualTypeOf<Signature<string, unknown, unknown>>();
  chain(double, again);
  chain(
    again,
    // @ts-expect-error nothing is known of the result
    double,
  );
});

test('a task by name gives what the caller says', () => {
  expectTypeOf(app.signature('count')).toEqualTypeOf<NamedTask>();
  const count = app.signature<{ n: number }>('count');
  expectTypeOf<OutputOf<typeof count>>().toEqualTypeOf<{ n: number }>();
  expectTypeOf(count.delay).toBeCallableWith({ anything: true });
  const more = app.task({ name: 'more', input: z.object({ n: z.number() }), run: async ({ n }) => n + 1 });
  expectTypeOf(chain(fetchPage, count.s({ of: 'words' }), more, count.into('x'))).toEqualTypeOf<
    Signature<'chain', { url: string }, { n: number }>
  >();
  chain(
    count,
    // @ts-expect-error n is a number
    app.task({ name: 'text', input: z.object({ n: z.string() }), run: async () => 1 }),
  );
  chain(
    app.signature('far'),
    // @ts-expect-error nothing is known of the result
    double,
  );
});
