import { chain, chunks, group, map, starmap } from '@umbel/canvas';
import { ValidationError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../../test/engines.js';
import { failure, start, value } from '../../support/running.js';

onEveryEngine('map, starmap and chunks', (engine) => {
  async function tasks() {
    const all = await start(engine);
    const numbers = all.app.task({
      name: 'numbers',
      input: z.number(),
      run: async (n) => Array.from({ length: n }, (_, i) => i),
    });
    const even = all.app.task({
      name: 'even',
      input: z.number(),
      run: async (n) => {
        if (n % 2 === 1) throw new Error(`${n} is odd`);
        return n / 2;
      },
    });
    return { ...all, numbers, even };
  }

  test('23. map(task, inputs) runs one task over many inputs, in order, also over what a step gives', async () => {
    const { double, numbers, sum, add, echo, runs } = await tasks();
    expect(await value(map(double, [3, 1, 2]).delay())).toEqual([6, 2, 4]);
    expect(new Set(runs.map(({ id }) => id)).size).toBe(3);
    expect(await value(map(double, []).delay())).toEqual([]);
    expect(await value(map(double).delay([1, 2]))).toEqual([2, 4]);
    expect(await value(map(double, new Set([1, 2])).delay())).toEqual([2, 4]);
    for (const n of [0, 1, 4, 250]) {
      const expected = Array.from({ length: n }, (_, i) => i * 2);
      expect(await value(chain(numbers, map(double)).delay(n))).toEqual(expected);
      expect(await value(chain(numbers, map(double), map(double), sum).delay(n))).toBe(2 * (n * n - n));
    }
    expect(await value(chain(numbers, map(add.into('x', { y: 10 }))).delay(2))).toEqual([10, 11]);
    expect(await value(map(chain(double, group([double, double])), [1, 2]).delay())).toEqual([
      [4, 4],
      [8, 8],
    ]);
    const wide = chain(double, group(Array.from({ length: 120 }, () => double)), sum);
    expect(await value(chain(numbers, map(wide)).delay(3))).toEqual([0, 480, 960]);
    await expect(map(double, [1, 'two' as never]).delay()).rejects.toBeInstanceOf(ValidationError);
    const wrong = chain(echo.si([1, 'two']), map(double) as never);
    expect((await failure(wrong.delay())).cause).toBeInstanceOf(ValidationError);
  });

  test('23. chunks(task, inputs, n) packs n inputs in one job and gives one flat, ordered list', async () => {
    const { double, numbers, sum, runs } = await tasks();
    expect(await value(chunks(double, [1, 2, 3, 4, 5], 2).delay())).toEqual([2, 4, 6, 8, 10]);
    expect(new Set(runs.map(({ id }) => id)).size).toBe(3);
    expect(await value(chunks(double, [], 2).delay())).toEqual([]);
    expect(await value(chain(numbers, chunks(double, 3), sum).delay(7))).toBe(42);
    expect(await value(chain(numbers, chunks(double, 3)).delay(0))).toEqual([]);
    const many = await value(chain(numbers, chunks(double, 2)).delay(250));
    expect(many).toEqual(Array.from({ length: 250 }, (_, i) => i * 2));
    const lists = chunks(numbers, [2, 0, 1], 2);
    expect(await value(lists.delay())).toEqual([[0, 1], [], [0]]);
  });

  test('23. a failure in chunks names the index of its input', async () => {
    const { even, echo, numbers } = await tasks();
    const error = await failure(chunks(even, [0, 2, 4, 6, 7, 8], 4).delay());
    expect(error).toMatchObject({ task: 'even', index: 4, cause: { message: '7 is odd' } });
    expect(error.message).toContain('at input 4');
    expect(await failure(chain(numbers, chunks(even, 2)).delay(2))).toMatchObject({ index: 1 });
    const wrong = await failure(chain(echo.si([0, 'one']), chunks(even, 2) as never).delay());
    expect(wrong).toMatchObject({ index: 1, cause: { name: 'ValidationError' } });
  });

  test('23. starmap zips rows with keys', async () => {
    const { app, add } = await tasks();
    const rows = [
      [1, 2],
      [3, 4],
    ] as [number, number][];
    expect(await value(starmap(add, ['x', 'y'], rows).delay())).toEqual([3, 7]);
    const given = app.task({ name: 'rows', run: async () => rows });
    expect(await value(chain(given, starmap(add, ['x', 'y'])).delay())).toEqual([3, 7]);
  });
});
