import { chain, chord, group } from '@umbel/canvas';
import { type AsyncResult, createApp, type ScheduleHandle } from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';

const app = createApp({ name: 'schedules' });
const rarely = { every: '1d' } as const;

const clean = app.task({ name: 'clean', run: async () => 7 });
const report = app.task({
  name: 'report',
  input: z.object({ to: z.string(), title: z.string().optional() }),
  run: async ({ to }) => to.length,
});
const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
const lax = app.task({ name: 'lax', input: z.object({ n: z.number().optional() }), run: async () => null });
const sum = app.task({ name: 'sum', input: z.array(z.number()), run: async (all) => all.length });

test('a schedule takes what can be sent as it is, and its handle is typed by the result', () => {
  expectTypeOf(app.schedule('a', rarely, clean)).toEqualTypeOf<ScheduleHandle<number>>();
  const handle = app.schedule('b', rarely, report.s({ to: 'x' }));
  expectTypeOf(handle.runNow).returns.resolves.toEqualTypeOf<AsyncResult<number>>();
  app.schedule('c', rarely, report.si({ to: 'x' }));
  app.schedule('d', rarely, lax);
  app.schedule('e', rarely, chain(clean, double));
  app.schedule('f', rarely, chord([double.si(1), clean], sum));
  expectTypeOf(app.schedule('g', rarely, group({ a: clean, b: clean }))).toEqualTypeOf<
    ScheduleHandle<{ a: number; b: number }>
  >();
  expectTypeOf(app.schedule('h', rarely, app.signature<string>('other'))).toEqualTypeOf<
    ScheduleHandle<string>
  >();
});

test('a target that still needs input does not compile', () => {
  // @ts-expect-error it takes a number
  app.schedule('a', rarely, double);
  // @ts-expect-error `to` is missing
  app.schedule('b', rarely, report.s({ title: 'x' }));
  // @ts-expect-error its first step takes a number
  app.schedule('c', rarely, chain(double, double));
  // @ts-expect-error a member takes a number
  app.schedule('d', rarely, group([clean, double]));
  // @ts-expect-error it is none
  app.schedule('e', rarely, 'clean');
});

test('a schedule says once when it is', () => {
  app.schedule('a', { cron: '0 3 * * *', tz: 'Europe/Zurich', overlap: 'queue', catchUp: 'all' }, clean);
  // @ts-expect-error twice
  app.schedule('b', { cron: '0 3 * * *', every: '1d' }, clean);
  // @ts-expect-error not at all
  app.schedule('c', { tz: 'Europe/Zurich' }, clean);
  // @ts-expect-error no length of time
  app.schedule('d', { every: 'daily' }, clean);
  // @ts-expect-error no such policy
  app.schedule('e', { every: '1d', overlap: 'wait' }, clean);
  // @ts-expect-error no such day
  app.schedule('f', { every: '1d', except: { weekdays: ['sun'] } }, clean);
});
