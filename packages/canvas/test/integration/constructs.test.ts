import { chain, chord, chunks, flat, group, map, when } from '@umbel/canvas';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { failure, start as running, soon, value } from '../support/running.js';

/** With a task that gives as many numbers as it is told. */
async function start(engine: Engine) {
  const all = await running(engine);
  const numbers = all.app.task({
    name: 'numbers',
    input: z.number(),
    run: async (n) => Array.from({ length: n }, (_, i) => i),
  });
  return { ...all, numbers };
}

onEveryEngine('group.settled', (engine) => {
  test('fails with the step before it', async () => {
    const { fail, double } = await start(engine);
    expect((await failure(chain(fail, group.settled([double])).delay(1))).task).toBe('fail');
  });
});

onEveryEngine('map', (engine) => {
  test('runs over more than one slice', async () => {
    const { numbers, double, sum, echo } = await start(engine);
    expect(await value(chain(numbers, map(double), sum).delay(350))).toBe(350 * 349);
    const run = await chain(numbers, map(double)).delay(250);
    expect(await run.get(soon)).toEqual(Array.from({ length: 250 }, (_, i) => i * 2));
    expect(
      await value(
        chain(
          map(
            double,
            Array.from({ length: 250 }, (_, i) => i),
          ),
          sum,
        ).delay(),
      ),
    ).toBe(250 * 249);
    expect(
      await value(chain(double, group(Array.from({ length: 250 }, (_, i) => echo.si(i)))).delay(1)),
    ).toEqual(Array.from({ length: 250 }, (_, i) => i));
  });

  test('refuses what is no list', async () => {
    const { echo, double, app } = await start(engine);
    const list = app.task({
      name: 'list',
      input: z.unknown(),
      output: z.array(z.number()),
      run: async () => [1],
    });
    const error = await failure(chain(echo.si('text'), map(double) as never).delay());
    expect(error.message).toContain('this step runs over a list, but the previous step returned a string');
    void list;
  });
});

onEveryEngine('chunks', (engine) => {
  test('that are read lazily name the input that failed', async () => {
    const { app } = await start(engine);
    const odd = app.task({
      name: 'odd',
      input: z.number(),
      run: async (n) => {
        if (n === 4) throw new Error('no four');
        return n;
      },
    });
    const read = (function* () {
      yield* [1, 2, 3, 4, 5];
    })();
    expect(await failure(chunks(odd, read, 2).delay())).toMatchObject({ task: 'odd', index: 3 });
  });
});

onEveryEngine('match and when', (engine) => {
  async function branches() {
    const all = await start(engine);
    const route = all.app.task({
      name: 'route',
      input: z.number(),
      run: async (n) => (n > 1 ? { kind: 'big' as const, n } : { kind: 'small' as const, n }),
    });
    const half = all.app.task({
      name: 'half',
      input: z.object({ n: z.number() }),
      run: async ({ n }) => n / 2,
    });
    const tenfold = all.app.task({
      name: 'tenfold',
      input: z.object({ n: z.number() }),
      run: async ({ n }) => n * 10,
    });
    const isEven = all.app.task({
      name: 'is-even',
      input: z.object({ n: z.number() }),
      run: async ({ n }) => n % 2 === 0,
    });
    return { ...all, route, half, tenfold, isEven };
  }

  test('branches may be groups, and stand in groups', async () => {
    const { route, half, tenfold } = await branches();
    const flow = chain(route, group([when({ n: 2 }, group([half, tenfold]), tenfold), half]));
    expect(await value(flow.delay(2))).toEqual([[1, 20], 1]);
    expect(await value(flow.delay(4))).toEqual([40, 2]);
  });
});

onEveryEngine('flat', (engine) => {
  test('makes one list of lists', async () => {
    const { app, sum, double } = await start(engine);
    const lists = app.task({ name: 'lists', run: async () => [[1, 2], [3], []] });
    expect(await value(flat(lists).delay())).toEqual([1, 2, 3]);
    expect(await value(flat(group([lists.si(), group([double.si(1)])])).delay())).toEqual([
      [1, 2],
      [3],
      [],
      2,
    ]);
    expect(await value(chain(flat(group([group([double, double]), group([double])])), sum).delay(1))).toBe(6);
  });
});

onEveryEngine('members that are read while they are sent', (engine) => {
  test('are not read much further than they are stored', async () => {
    const { double } = await start(engine);
    const ahead: number[] = [];
    async function* members() {
      for (let i = 0; i < 1500; i += 1) {
        if (i % 250 === 249) {
          const counts = await engine.bareQueue('default').getJobCounts();
          ahead.push(i - Object.values(counts).reduce((sum, count) => sum + count, 0));
        }
        yield double.si(i);
      }
    }
    const run = await group(members()).delay();
    expect(ahead).toHaveLength(6);
    expect(Math.max(...ahead)).toBeLessThanOrEqual(200);
    expect(await run.get({ timeout: '50s' })).toHaveLength(1500);
  });

  test('fail the run with what reading them throws', async () => {
    const { double, sum, app } = await start(engine);
    async function* members() {
      yield double.si(1);
      throw new Error('the file is broken');
    }
    await expect(chord(group(members()), sum).delay()).rejects.toThrow('the file is broken');
    void app;
  });
});
