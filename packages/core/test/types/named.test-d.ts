/** Tasks that are known by their names, and handlers of many contracts. */
import {
  createApp,
  defineTask,
  type Middleware,
  type NamedTask,
  type OutputOf,
  type Task,
} from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { app, fibonacci, isoDate, scale } from '../../../canvas/test/support/tasks.js';

const client = app.client<typeof import('../../../canvas/test/support/tasks.js')>();

// V58
test('every contract gets a handler, and no other', () => {
  app.implementAll(
    { scale, fibonacci },
    {
      scale: async (input) => {
        expectTypeOf(input).toEqualTypeOf<{ file: string; by: number }>();
        return { file: input.file };
      },
      fibonacci: async (n) => n,
    },
  );
  // @ts-expect-error fibonacci has none
  app.implementAll({ scale, fibonacci }, { scale: async ({ file }) => ({ file }) });
  app.implementAll(
    { fibonacci },
    // @ts-expect-error there is no such contract
    { fibonacci: async (n) => n, factorial: async (n: number) => n },
  );
  app.implementAll(
    { scale, fibonacci },
    {
      scale: async ({ file }) => ({ file }),
      // @ts-expect-error the result is a number
      fibonacci: async () => 'many',
    },
  );
  // @ts-expect-error a task has its handler already
  app.implementAll({ client: client.add }, { client: async () => 1 });
});

test('what middleware adds is in the contexts of all the handlers', () => {
  const signedIn: Middleware<{ user: string }> = { run: (_, next) => next({ user: '' }) };
  const scoped = createApp({ name: 'scoped', middleware: [signedIn] });
  scoped.implementAll({ scale }, { scale: async ({ file }, ctx) => ({ file: file + ctx.user }) });
  app.implementAll(
    { scale },
    {
      scale: async ({ file }, ctx) => ({
        // @ts-expect-error this app has no such middleware
        file: file + ctx.user,
      }),
    },
  );
});

test('the contracts come back bound, each with its type', () => {
  const bound = app.implementAll({ fibonacci }, { fibonacci: async (n) => n });
  expectTypeOf(bound.fibonacci).toEqualTypeOf<typeof fibonacci>();
  const remind = defineTask({ name: 'r', input: z.object({ at: isoDate }) });
  app.implementAll({ remind }, { remind: async ({ at }) => void expectTypeOf(at).toEqualTypeOf<Date>() });
});

// V60
test('a client has the tasks of a module, by their own names', () => {
  expectTypeOf(client.add).toEqualTypeOf<Task<'add', { x: number; y: number }, number>>();
  expectTypeOf(client.add.delay).toBeCallableWith({ x: 1, y: 2 });
  expectTypeOf<OutputOf<typeof client.fetchPage>>().toEqualTypeOf<{ path: string; bytes: number }>();
});

// V61
test('a client has nothing else', () => {
  // @ts-expect-error there is no such task
  void client.nope;
  // @ts-expect-error an app is no task
  void client.app;
  // @ts-expect-error y is missing
  void client.add.delay({ x: 1 });
  const odd = app.client<{ one: NamedTask; two: { name: 'two' }; three: number }>();
  expectTypeOf<keyof typeof odd>().toEqualTypeOf<never>();
});

test('a task by name takes anything', () => {
  const named = app.signature('far');
  expectTypeOf<OutputOf<typeof named>>().toEqualTypeOf<unknown>();
  expectTypeOf(named.delay).toBeCallableWith({ anything: [1] });
  expectTypeOf(named.delay).toBeCallableWith();
  named.s({ x: 1 }).delay({ y: 2 });
  named.si([1]);
  named.into('x', { y: 1 });
  void named.sendMany([1, 'a']);
  expectTypeOf(app.signature<number>('far').si().delay).returns.resolves.toHaveProperty('get');
  expectTypeOf(app.result(app.signature<number>('far'), 'id').get).returns.resolves.toEqualTypeOf<number>();
  // @ts-expect-error keys are bound by an object
  named.s(3);
});
