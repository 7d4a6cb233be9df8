import { once } from 'node:events';
import { chain, chord, flat, group, map } from '@umbel/canvas';
import type { FailureRecord } from '@umbel/core';
import { expect, expectTypeOf, test, vi } from 'vitest';
import { onEveryEngine } from '../../../../../test/engines.js';
import { failure, soon, start, value } from '../../support/running.js';

onEveryEngine('a group', (engine) => {
  test('11. results come in declared order whatever the finishing order', async () => {
    const { hold, double, signals } = await start(engine);
    const held = once(signals, 'held');
    const result = await group([hold.si(1), double.si(1), double.si(2)]).delay();
    await held;
    signals.emit('release');
    expect(await result.get(soon)).toEqual([1, 2, 4]);
  });

  test('11. a tuple gives a tuple, an array an array, an object an object with the same keys in their order', async () => {
    const { double, echo, add } = await start(engine);
    const tuple = await value(group([double, echo]).delay(2));
    expectTypeOf(tuple).toEqualTypeOf<[number, unknown]>();
    expect(tuple).toEqual([4, 2]);
    const array = await value(group([1, 2, 3].map((n) => double.si(n))).delay());
    expectTypeOf(array).toEqualTypeOf<number[]>();
    expect(array).toEqual([2, 4, 6]);
    const record = await value(
      group({ zebra: double.si(2), __proto: echo.si(3), a: add.si({ x: 1, y: 1 }) }).delay(),
    );
    expectTypeOf(record).toEqualTypeOf<{ zebra: number; __proto: unknown; a: number }>();
    expect(record).toEqual({ zebra: 4, __proto: 3, a: 2 });
    expect(Object.keys(record)).toEqual(['zebra', '__proto', 'a']);
    const after = await value(chain(double, group({ zebra: double, a: group([double]) })).delay(1));
    expect(JSON.stringify(after)).toBe('{"zebra":4,"a":[4]}');
  });

  test('12. the shape follows the expression only: of one member, of none, with a step after it', async () => {
    const { double, sum, echo, add } = await start(engine);
    expect(await value(group([double]).delay(3))).toEqual([6]);
    expect(await value(chain(double, group([double])).delay(3))).toEqual([12]);
    expect(await value(chain(group([double]), sum).delay(3))).toBe(6);
    expect(await value(chord([double], echo).delay(3))).toEqual([6]);
    expect(await value(map(double, [3]).delay())).toEqual([6]);
    expect(await value(chain(double, group([])).delay(1))).toEqual([]);
    expect(await value(chain(double, group({})).delay(1))).toEqual({});
    expect(await value(chain(group([]), echo).delay(1))).toEqual([]);
    expect(await value(chain(double, group([]), sum).delay(1))).toBe(0);
    expect(await value(chord([] as (typeof add)[], sum).delay({ x: 1, y: 1 }))).toBe(0);
    expect(await value(group([double, group([]), group({})]).delay(1))).toEqual([2, [], {}]);
  });

  test('12. the shape of nothing but empty groups is there at once, without a worker', async () => {
    expect(await value(group([]).delay())).toEqual([]);
    expect(await value(group([group([]), group({})]).delay())).toEqual([[], {}]);
    const settled = group.settled([group([]), group({ a: group([]) })]);
    expect(await value(settled.delay())).toEqual([
      { ok: true, value: [] },
      { ok: true, value: { a: [] } },
    ]);
    expect(await value(group.any([group([])]).delay())).toEqual([]);
    expect(await value(flat(group([group([]), group([])])).delay())).toEqual([]);
    void engine;
  });

  test('13. a group inside a group keeps its nesting, and flat takes one level away', async () => {
    const { double } = await start(engine);
    const nested = group([double, group([double, group({ deep: double })])]);
    const result = await value(nested.delay(1));
    expectTypeOf(result).toEqualTypeOf<[number, [number, { deep: number }]]>();
    expect(result).toEqual([2, [2, { deep: 2 }]]);
    expect(await value(chain(double, nested).delay(1))).toEqual([4, [4, { deep: 4 }]]);
    const lists = group([group([double, group([double])]), group([]), group([double.si(9)])]);
    expect(await value(flat(lists).delay(1))).toEqual([2, [2], 18]);
    expect(await value(chain(double, flat(lists)).delay(1))).toEqual([4, [4], 18]);
  });

  test('14. every member after a step receives its result, merged into its open keys', async () => {
    const { double, add, echo, sum, tick } = await start(engine);
    const members = [
      double,
      add.into('y', { x: 1 }),
      chain(double, double),
      echo.si('own'),
      group({ in: double }),
    ] as const;
    expect(await value(chain(double, group(members)).delay(1))).toEqual([4, 3, 8, 'own', { in: 4 }]);
    const point = echo.si({ x: 1, y: 2 });
    const merged = group([add.s({ y: 10 }), add.s(), add.s({ x: 3 })]);
    expect(await value(chain(point, merged as never).delay())).toEqual([11, 3, 5]);
    expect(await value(chain(group([double, double]), group([sum, sum]), sum).delay(1))).toBe(8);
    expect(await value(chain(double, group([tick.si(), double])).delay(1))).toEqual([null, 4]);
  });

  test('15. a failing member does not stop its siblings; the group fails at once', async () => {
    const { app, double, fail, hold, signals, count } = await start(engine);
    const held = once(signals, 'held');
    const run = await chain(double, group([chain(hold, double), fail, double])).delay(1);
    await held;
    expect(await failure(Promise.resolve(run))).toMatchObject({ task: 'fail', cause: { name: 'Boom' } });
    signals.emit('release');
    expect(await app.result(`${run.id}.0.0`).get(soon)).toBe(4);
    expect([count('hold'), count('fail'), count('double')]).toEqual([1, 1, 3]);
  });

  test('15. an iterator or an async iterator is read lazily, once', async () => {
    const { double, runs, sum } = await start(engine);
    let seen = 0;
    async function* members() {
      for (let i = 0; i < 230; i += 1) {
        if (i === 220) {
          await vi.waitFor(() => expect(runs.length).toBeGreaterThan(50));
          seen = runs.length;
        }
        yield double.si(i);
      }
    }
    expect(await value(chord(group(members()), sum).delay())).toBe(230 * 229);
    expect(seen).toBeGreaterThan(50);
    expect(runs).toHaveLength(231);
    expect(await value(group(new Set([double.si(1), double.si(2)])).delay())).toEqual([2, 4]);
  });

  test('16. link on a group fires once, after all members, with the whole list', async () => {
    const { double, hold, signals, note, notes } = await start(engine);
    const held = once(signals, 'held');
    const linked = group([double, hold, double]).link(note).linkError(note);
    const run = await group([linked, double]).delay(1);
    await held;
    expect(notes).toEqual([]);
    signals.emit('release');
    expect(await run.get(soon)).toEqual([[2, 1, 2], 2]);
    await vi.waitFor(() => expect(notes).toEqual([[2, 1, 2]]));
    const wide = group(Array.from({ length: 120 }, () => double)).link(note);
    expect(await value(chain(double, wide).delay(1))).toHaveLength(120);
    await vi.waitFor(() => expect(notes).toHaveLength(2));
    expect(notes[1]).toEqual(Array.from({ length: 120 }, () => 4));
  });

  test('16. linkError on a group fires once, with the failures of all members that have failed', async () => {
    const { double, fail, note, notes } = await start(engine);
    const need = group.atLeast(3, [fail, double, fail, fail, double]).link(note).linkError(note);
    const run = await need.delay(1);
    await failure(Promise.resolve(run));
    await vi.waitFor(() => expect(notes).toHaveLength(1));
    const [record] = notes as [FailureRecord];
    expect(record).toMatchObject({
      task: 'fail',
      attempts: 1,
      error: { name: 'Boom', message: 'it went wrong' },
    });
    // It needed all but two: the third failure decided.
    const failed = record.failures?.map(({ jobId }) => jobId).toSorted();
    expect(failed).toEqual(['0.0', '0.2', '0.3'].map((path) => `${run.id}.${path}`));
    notes.length = 0;
    await failure(chain(double, group([fail, fail, fail]).linkError(note)).delay(1));
    await vi.waitFor(() => expect(notes).toHaveLength(1));
    const [of] = notes as [FailureRecord];
    const all = of.failures ?? [of];
    expect(new Set(all.map(({ jobId }) => jobId)).size).toBe(all.length);
    expect(all.map(({ jobId }) => jobId)).toContain(of.jobId);
  });
});
