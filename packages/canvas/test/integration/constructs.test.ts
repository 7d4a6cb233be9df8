import { chain, chord, chunks, fallback, flat, group, map, match, starmap, when } from '@umbel/canvas';
import { type AsyncResult, type StepOutcome, TaskFailedError } from '@umbel/core';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { toolbox } from '../support/toolbox.js';

const soon = { timeout: '10s' } as const;

async function start(engine: Engine) {
  const app = engine.app();
  const tasks = toolbox(app);
  const numbers = app.task({
    name: 'numbers',
    input: z.number(),
    run: async (n) => Array.from({ length: n }, (_, i) => i),
  });
  const lists = app.task({ name: 'lists', run: async () => [[1, 2], [3], []] });
  const record = app.task({
    name: 'record',
    input: z.object({ error: z.object({ message: z.string() }) }),
    run: async ({ error }) => error.message.length,
  });
  const note = app.task({
    name: 'note',
    input: z.unknown(),
    run: async (value) => {
      notes.push(value);
    },
  });
  const notes: unknown[] = [];
  const worker = await app.worker().start();
  return { app, worker, numbers, lists, record, note, notes, ...tasks };
}

async function value<T>(sent: Promise<AsyncResult<T>>): Promise<T> {
  return (await sent).get(soon);
}

async function failure(sent: Promise<AsyncResult<unknown>>): Promise<TaskFailedError> {
  const error = await value(sent).catch((reason: unknown) => reason);
  if (!(error instanceof TaskFailedError)) throw new Error(`expected a failed run, got ${String(error)}`);
  return error;
}

onEveryEngine('group.settled', (engine) => {
  test('gives an outcome of each member, in order', async () => {
    const { double, fail } = await start(engine);
    const outcomes = await value(group.settled([double.si(1), fail.si(0), double.si(3)]).delay());
    expect(outcomes).toMatchObject([
      { ok: true, value: 2 },
      { ok: false, error: { task: 'fail', error: { name: 'Boom', message: 'it went wrong' } } },
      { ok: true, value: 6 },
    ]);
  });

  test('waits for all of them, as the header of a chord, after a step and as a record', async () => {
    const { double, fail, echo } = await start(engine);
    const both = group.settled({ good: double, bad: fail });
    expect(await value(chord(both, echo).delay(4))).toMatchObject({
      good: { ok: true, value: 8 },
      bad: { ok: false },
    });
    expect(await value(chain(double, both, echo).delay(4))).toMatchObject({
      good: { value: 16 },
      bad: { ok: false },
    });
  });

  test('fails with the step before it', async () => {
    const { fail, double } = await start(engine);
    expect((await failure(chain(fail, group.settled([double])).delay(1))).task).toBe('fail');
  });
});

onEveryEngine('group.any', (engine) => {
  test('gives the first success while others still run', async () => {
    const { hold, fail, double, signals } = await start(engine);
    const run = await group.any([fail.si(1), hold.si(1), double.si(4)]).delay();
    expect(await run.get(soon)).toBe(8);
    signals.emit('release');
  });

  test('goes on to the next step, and inside a group', async () => {
    const { double, fail } = await start(engine);
    expect(await value(chain(group.any([fail, double]), double).delay(2))).toBe(8);
    expect(await value(chain(double, group([group.any([fail, double]), double])).delay(2))).toEqual([8, 8]);
  });

  test('fails once all have failed', async () => {
    const { fail } = await start(engine);
    expect(await failure(group.any([fail.si(1), fail.si(2)]).delay())).toMatchObject({ task: 'fail' });
  });

  test('skips those that have not started, if they are to be cancelled', async () => {
    const { double, app, note, notes } = await start(engine);
    const run = await group
      .any([double.si(1), note.si('late').set({ countdown: '1h' })], { cancelSiblings: true })
      .delay();
    expect(await run.get(soon)).toBe(2);
    const late = app.result(note, `${run.id}.0.1`);
    await vi.waitFor(async () => expect(await late.state()).toBe('skipped'));
    expect(notes).toEqual([]);
  });
});

onEveryEngine('group.atLeast', (engine) => {
  test('gives the results of those that succeeded, in order', async () => {
    const { hold, fail, double, signals } = await start(engine);
    const run = await group.atLeast(2, [double.si(1), hold.si(1), fail.si(0), double.si(4)]).delay();
    expect(await run.get(soon)).toEqual([2, 8]);
    signals.emit('release');
  });

  test('fails as soon as too many have failed', async () => {
    const { hold, fail, signals } = await start(engine);
    const run = await group.atLeast(2, [fail.si(1), hold.si(1), fail.si(2)]).delay();
    await expect(run.get(soon)).rejects.toMatchObject({ task: 'fail' });
    signals.emit('release');
  });
});

onEveryEngine('cancelSiblings', (engine) => {
  test('skips members that have not started once one has failed', async () => {
    const { fail, note, notes, app } = await start(engine);
    const late = note.si('late').set({ countdown: '1h' });
    const run = await group([fail.si(1), late], { cancelSiblings: true }).delay();
    await expect(run.get(soon)).rejects.toMatchObject({ task: 'fail' });
    await vi.waitFor(async () => expect(await app.result(note, `${run.id}.0.1`).state()).toBe('skipped'));
    expect(notes).toEqual([]);
  });
});

onEveryEngine('map', (engine) => {
  test('runs one task over many inputs, in order', async () => {
    const { double, sum } = await start(engine);
    expect(await value(map(double, [1, 2, 3]).delay())).toEqual([2, 4, 6]);
    expect(await value(chain(map(double, [1, 2, 3]), sum).delay())).toBe(12);
    expect(await value(map(double, []).delay())).toEqual([]);
  });

  test('runs over what the step before gives, also none', async () => {
    const { numbers, double, sum } = await start(engine);
    expect(await value(chain(numbers, map(double)).delay(4))).toEqual([0, 2, 4, 6]);
    expect(await value(chain(numbers, map(double), map(double), sum).delay(4))).toBe(24);
    expect(await value(chain(numbers, map(double)).delay(0))).toEqual([]);
    expect(await value(map(double).delay([1, 2]))).toEqual([2, 4]);
  });

  test('runs a composition for each', async () => {
    const { numbers, double, add } = await start(engine);
    const each = chain(double, group([double, add.into('x', { y: 1 })]));
    expect(await value(map(each, [1, 2]).delay())).toEqual([
      [4, 3],
      [8, 5],
    ]);
    expect(await value(chain(numbers, map(each)).delay(2))).toEqual([
      [0, 1],
      [4, 3],
    ]);
  });

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
    expect(error.message).toContain('this step runs over a list, and the step before it gave a string');
    void list;
  });
});

onEveryEngine('starmap', (engine) => {
  test('zips rows with keys', async () => {
    const { add, app } = await start(engine);
    expect(
      await value(
        starmap(
          add,
          ['x', 'y'],
          [
            [1, 2],
            [3, 4],
          ],
        ).delay(),
      ),
    ).toEqual([3, 7]);
    const rows = app.task({
      name: 'rows',
      output: z.array(z.tuple([z.number(), z.number()])),
      run: async () => [[5, 6]] as [number, number][],
    });
    expect(await value(chain(rows, starmap(add, ['x', 'y'])).delay())).toEqual([11]);
  });
});

onEveryEngine('chunks', (engine) => {
  test('packs inputs in jobs and gives one flat list', async () => {
    const { double, numbers, sum, runs } = await start(engine);
    expect(await value(chunks(double, [1, 2, 3, 4, 5], 2).delay())).toEqual([2, 4, 6, 8, 10]);
    expect(new Set(runs.map((run) => run.id)).size).toBe(3);
    expect(await value(chain(numbers, chunks(double, 3), sum).delay(7))).toBe(42);
  });

  test('names the input that failed', async () => {
    const { app } = await start(engine);
    const odd = app.task({
      name: 'odd',
      input: z.number(),
      run: async (n) => {
        if (n === 4) throw new Error('no four');
        return n;
      },
    });
    const error = await failure(chunks(odd, [1, 2, 3, 4, 5], 2).delay());
    expect(error).toMatchObject({ task: 'odd', index: 3 });
    expect(error.message).toContain('at input 3');
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

  test('match takes the case that the value names', async () => {
    const { route, half, tenfold, double } = await branches();
    const flow = chain(route, match('kind', { big: half, small: chain(tenfold, double) }), double);
    expect(await value(flow.delay(8))).toBe(8);
    expect(await value(flow.delay(1))).toBe(40);
  });

  test('when decides by a condition on the value, or by a step', async () => {
    const { route, half, tenfold, isEven } = await branches();
    const byValue = chain(route, when({ n: { gt: 5 } }, half, tenfold));
    expect(await value(byValue.delay(8))).toBe(4);
    expect(await value(byValue.delay(5))).toBe(50);
    const byStep = chain(route, when(isEven, half, tenfold));
    expect(await value(byStep.delay(8))).toBe(4);
    expect(await value(byStep.delay(7))).toBe(70);
  });

  test('when without another branch gives the value on', async () => {
    const { route, half, isEven } = await branches();
    expect(await value(chain(route, when({ n: 4 }, half)).delay(3))).toEqual({ kind: 'big', n: 3 });
    expect(await value(chain(route, when(isEven, half)).delay(3))).toEqual({ kind: 'big', n: 3 });
  });

  test('branches may be groups, and stand in groups', async () => {
    const { route, half, tenfold } = await branches();
    const flow = chain(route, group([when({ n: 2 }, group([half, tenfold]), tenfold), half]));
    expect(await value(flow.delay(2))).toEqual([[1, 20], 1]);
    expect(await value(flow.delay(4))).toEqual([40, 2]);
  });
});

onEveryEngine('fallback', (engine) => {
  test('gives the result of the step, and runs the other one only if it fails', async () => {
    const { double, fail, record, count } = await start(engine);
    expect(await value(chain(double, fallback(double, record)).delay(1))).toBe(4);
    expect(count('record')).toBe(0);
    expect(await value(chain(double, fallback(fail, record), double).delay(1))).toBe(26);
    expect(await value(fallback(chain(double, fail, double), chain(record, double)).delay(1))).toBe(26);
  });

  test('fails with the other one', async () => {
    const { fail, app } = await start(engine);
    const worse = app.task({
      name: 'worse',
      input: z.unknown(),
      run: async (): Promise<number> => {
        throw new Error('worse');
      },
    });
    expect((await failure(fallback(fail, worse).delay(1))).task).toBe('worse');
  });
});

onEveryEngine('flat', (engine) => {
  test('makes one list of lists', async () => {
    const { lists, sum, double } = await start(engine);
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

onEveryEngine('callbacks on a node', (engine) => {
  test('are sent once, with the result, the failure, or either', async () => {
    const { double, fail, note, notes } = await start(engine);
    const run = chain(double.link(note).finally(note), double);
    expect(await value(run.delay(1))).toBe(4);
    await vi.waitFor(() => expect(notes).toHaveLength(2));
    expect(notes).toEqual(expect.arrayContaining([2, { ok: true, value: 2 }]));
    notes.length = 0;
    await failure(chain(double, fail.linkError(note).link(note).finally(note)).delay(1));
    await vi.waitFor(() => expect(notes).toHaveLength(2));
    expect(notes).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ task: 'fail' }),
        expect.objectContaining({ ok: false, error: expect.objectContaining({ task: 'fail' }) }),
      ]),
    );
  });

  test('of a single call and of a whole composition', async () => {
    const { double, note, notes } = await start(engine);
    expect(await value(double.link(note).delay(2))).toBe(4);
    expect(await value(group([double, double]).link(note).link(note).delay(2))).toEqual([4, 4]);
    await vi.waitFor(() => expect(notes).toEqual([4, [4, 4]]));
  });
});

onEveryEngine('ctx.stop', (engine) => {
  test('ends the chain with a value; later steps are skipped', async () => {
    const { app, double, sum, count } = await start(engine);
    const enough = app.task({ name: 'enough', input: z.number(), run: async (n, ctx) => ctx.stop(n + 0.5) });
    const run = await chain(double, enough, double, group([double, double]), sum).delay(1);
    expect(await run.get(soon)).toBe(2.5);
    expect(count('double')).toBe(1);
    expect(await app.result(`${run.id}.0`).state()).toBe('skipped');
    expect(
      await value(chain(group([chain(enough, double), double]), group([double.si(1)])).delay(1)),
    ).toEqual([2]);
    expect(await value(group([chain(enough, double), double]).delay(1))).toEqual([1.5, 2]);
    expect(await value(chain(enough, group([double])).delay(1))).toBe(1.5);
    expect(await value(enough.delay(1))).toBe(1.5);
  });
});

onEveryEngine('ctx.replace', (engine) => {
  test('puts a composition in the place of a step, on several levels', async () => {
    const { app, double, sum, fail } = await start(engine);
    const fork = app.task({
      name: 'fork',
      input: z.number(),
      run: async (n, ctx): Promise<number> =>
        n > 3 ? ctx.replace(chain(group([fork.si(n - 1), fork.si(n - 2)]), sum)) : n,
    });
    expect(await value(chain(double, fork, double).delay(3))).toBe(26);
    const call = await fork.delay(5);
    expect(await call.get(soon)).toBe(8);
    const many = app.task({
      name: 'many',
      input: z.number(),
      run: async (n, ctx): Promise<number[]> => ctx.replace(map(double, [n, n + 1])),
    });
    expect(await value(chain(many, sum).delay(1))).toBe(6);
    const bad = app.task({
      name: 'bad',
      input: z.number(),
      run: async (n, ctx): Promise<number> => ctx.replace(fail, n),
    });
    expect((await failure(chain(bad, double).delay(1))).task).toBe('fail');
  });
});

onEveryEngine('ctx.addToGroup', (engine) => {
  test('adds members that the join waits for', async () => {
    const { app, double, sum } = await start(engine);
    const grow = app.task({
      name: 'grow',
      input: z.number(),
      run: async (n, ctx) => {
        await ctx.addToGroup(double, n);
        await ctx.addToGroup(chain(double, double), n);
        return n;
      },
    });
    expect(await value(group([grow.si(1), double.si(1)]).delay())).toEqual([1, 2, 2, 4]);
    expect(await value(chain(group([chain(double, grow), double]), sum).delay(1))).toBe(2 + 2 + 4 + 8);
    expect(await value(chain(double, group.settled([grow])).delay(1))).toEqual(
      [2, 4, 8].map((n) => ({ ok: true, value: n })),
    );
    const error = await failure(grow.delay(1));
    expect(error.message).toContain('is not in a group');
  });
});

onEveryEngine('members that are read while they are sent', (engine) => {
  test('run before the last is read', async () => {
    const { double, sum, runs } = await start(engine);
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
    expect(await value(group((function* () {})()).delay())).toEqual([]);
  });

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
    expect(await run.get({ timeout: '20s' })).toHaveLength(1500);
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

describe('outcomes', () => {
  test('are typed', () => {
    const outcome: StepOutcome<number> = { ok: true, value: 1 };
    expect(outcome.ok).toBe(true);
  });
});
