import { once } from 'node:events';
import { chain, chord, group, map, match, when } from '@umbel/canvas';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../../test/engines.js';
import { failure, soon, start, value } from '../../support/running.js';

onEveryEngine('a run that changes', (engine) => {
  test('29. ctx.replace(canvas): the same id and slot, callbacks and continuation kept', async () => {
    const { app, double, sum, note, notes } = await start(engine);
    const swap = app.task({
      name: 'swap',
      input: z.number(),
      run: async (n, ctx): Promise<number> => ctx.replace(chain(double, group([double, double]), sum), n),
    });
    const linked = swap.link(note).finally(note).linkError(note.tag('wrong'));
    const run = await chain(double, group([double, linked]), sum, double).delay(1);
    expect(await run.get(soon)).toBe((4 + 16) * 2);
    expect(await app.result(`${run.id}.0-1.1^`).get(soon)).toBe(16);
    expect(await app.result(`${run.id}.0-1.1^`).state()).toBe('completed');
    await vi.waitFor(() => expect(notes).toHaveLength(2));
    expect(notes).toEqual(expect.arrayContaining([16, { ok: true, value: 16 }]));
    const call = await swap.delay(2);
    expect(await call.get(soon)).toBe(16);
    expect((await call.info()).task).toBe('swap');
  });

  test('29. ctx.replace(canvas): by a group puts the list in the slot', async () => {
    const { app, double, echo, sum } = await start(engine);
    const many = app.task({
      name: 'many',
      input: z.number(),
      run: async (n, ctx): Promise<number[]> =>
        ctx.replace(
          map(
            double,
            Array.from({ length: n }, (_, i) => i),
          ),
        ),
    });
    expect(await value(chain(group([many, double]), echo).delay(2))).toEqual([[0, 2], 4]);
    expect(await value(chain(many, sum).delay(150))).toBe(150 * 149);
    expect(await value(many.delay(0))).toEqual([]);
  });

  test('29. ctx.replace(canvas): two levels and more, every node once', async () => {
    const { app, double, sum } = await start(engine);
    const ran: string[] = [];
    const deeper = app.task({
      name: 'deeper',
      input: z.number(),
      run: async (n, ctx): Promise<number> => {
        ran.push(ctx.id);
        return n < 6 ? ctx.replace(chord([deeper.si(n + 1), double.si(1)], sum)) : n;
      },
    });
    expect(await value(chain(deeper, double).delay(1))).toBe((6 + 5 * 2) * 2);
    expect(ran).toHaveLength(6);
    expect(new Set(ran).size).toBe(6);
  });

  test('29. ctx.replace(canvas): its failure is the node’s, and what is no result of the task is refused', async () => {
    const { app, double, fail, echo, note, notes } = await start(engine);
    const bad = app.task({
      name: 'bad',
      input: z.number(),
      run: async (n, ctx): Promise<number> => ctx.replace(chain(double, fail, double), n),
    });
    const run = await chain(double, bad.linkError(note), double).delay(1);
    expect(await failure(Promise.resolve(run))).toMatchObject({ task: 'fail', cause: { name: 'Boom' } });
    await vi.waitFor(() => expect(notes).toMatchObject([{ task: 'fail' }]));
    expect(await app.result(`${run.id}.0-1^`).state()).toBe('failed');
    const wrong = app.task({
      name: 'wrong',
      input: z.unknown(),
      output: z.number(),
      run: async (_input, ctx) => ctx.replace(echo.si('text')) as number,
    });
    expect((await failure(wrong.delay(1))).cause.name).toBe('ValidationError');
    // What settled members have done before it is no failure of it.
    const late = app.task({
      name: 'late',
      input: z.unknown(),
      run: async (_in, ctx) => ctx.replace(double.si(2)),
    });
    expect(await value(chain(group.settled([fail, double]), late).delay(1))).toBe(4);
  });

  test('30. ctx.addToGroup(sig) adds a member that the join waits for, in an order of its own', async () => {
    const { app, double, sum, hold, signals, echo } = await start(engine);
    const grow = app.task({
      name: 'grow',
      input: z.number(),
      run: async (n, ctx) => {
        await ctx.addToGroup(n === 1 ? hold : echo, n);
        await ctx.addToGroup(chain(double, double), n);
        return n + 1;
      },
    });
    const held = once(signals, 'held');
    const run = await group([chain(grow, grow), double]).delay(1);
    await held;
    await vi.waitFor(async () => expect(await app.result(`${run.id}.0.1`).state()).toBe('completed'));
    expect(await run.state()).toBe('waiting-children');
    signals.emit('release');
    expect(await run.get(soon)).toEqual([3, 2, 1, 4, 2, 8]);
    expect(await value(chain(group([double, chain(double, grow)]), sum).delay(1))).toBe(2 + 3 + 2 + 8);
    const nested = group([group([grow, double]), double]);
    expect(await value(nested.delay(2))).toEqual([[3, 4, 2, 8], 4]);
    expect(await value(chain(double, group.settled([grow])).delay(1))).toEqual(
      [3, 2, 8].map((n) => ({ ok: true, value: n })),
    );
    const wide = group([...Array.from({ length: 120 }, () => double), grow]);
    expect((await value(wide.delay(2))).slice(119)).toEqual([4, 3, 2, 8]);
  });

  test('30. ctx.addToGroup(sig) of a member that fails fails the group, and outside of a group is an error', async () => {
    const { app, double, fail } = await start(engine);
    const grow = app.task({
      name: 'grow',
      input: z.number(),
      run: async (n, ctx) => {
        await ctx.addToGroup(fail, n);
        return n;
      },
    });
    expect(await failure(group([grow, double]).delay(1))).toMatchObject({ task: 'fail' });
    for (const outside of [grow, chain(double, grow), group({ record: grow })]) {
      const error = await failure(outside.delay(1) as never);
      expect(error).toMatchObject({ task: 'grow', cause: { name: 'JobStateError' } });
    }
  });

  test('31. when and match choose a branch from the previous value, by a task or by data', async () => {
    const { app } = await start(engine);
    const Value = z.object({ kind: z.enum(['a', 'b']), n: z.number() });
    const route = app.task({
      name: 'route',
      input: z.number(),
      run: async (n) => ({ kind: n > 5 ? ('a' as const) : ('b' as const), n }),
    });
    const half = app.task({
      name: 'half',
      input: Value.partial({ kind: true }),
      run: async ({ n }) => n / 2,
    });
    const tenfold = app.task({
      name: 'tenfold',
      input: Value.partial({ kind: true }),
      run: async ({ n }) => n * 10,
    });
    const isEven = app.task({
      name: 'is-even',
      input: Value.partial({ kind: true }),
      run: async ({ n }) => n % 2 === 0,
    });
    for (const n of [3, 4, 8]) {
      const byKind = n > 5 ? n / 2 : n * 10;
      expect(await value(chain(route, match('kind', { a: half, b: tenfold })).delay(n))).toBe(byKind);
      expect(await value(chain(route, when({ n: { gt: 5 } }, half, tenfold)).delay(n))).toBe(byKind);
      expect(await value(chain(route, when(isEven, half, tenfold)).delay(n))).toBe(
        n % 2 === 0 ? n / 2 : n * 10,
      );
      const through = n > 5 ? n / 2 : { kind: 'b', n };
      expect(await value(chain(route, when({ kind: 'a' }, half)).delay(n))).toEqual(through);
      const each = map(chain(route, when({ kind: 'a' }, group([half, tenfold]))), [n, 1]);
      expect(await value(each.delay())).toEqual([
        n > 5 ? [n / 2, n * 10] : { kind: 'b', n },
        { kind: 'b', n: 1 },
      ]);
    }
  });

  test('31. a value that has no case, or a test that gives no answer, fails clearly; nothing else is stored', async () => {
    const { app, echo, double } = await start(engine);
    const route = app.task({ name: 'route', input: z.number(), run: async () => ({ kind: 'c' as string }) });
    const error = await failure(chain(route, match('kind', { a: echo, b: echo }) as never).delay(1));
    expect(error.message).toContain('expected one of "a", "b", got "c"');
    const answer = await failure(chain(double, when(double as never, echo, echo) as never).delay(1));
    expect(answer.message).toContain('true or false');
    const text = JSON.stringify(when({ n: { gt: 5 } }, echo, double as never));
    expect(JSON.parse(text)).toEqual({
      kind: 'when',
      test: { condition: { n: { gt: 5 } } },
      onTrue: { kind: 'task', task: 'echo' },
      onFalse: { kind: 'task', task: 'double' },
    });
  });
});
