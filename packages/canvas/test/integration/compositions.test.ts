import { once } from 'node:events';
import { CanvasError, chain, chord, group } from '@umbel/canvas';
import { type AsyncResult, TaskFailedError, UpstreamFailedError, ValidationError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { type Toolbox, toolbox } from '../support/toolbox.js';

const soon = { timeout: '10s' } as const;

/** An app with its tasks and a worker. */
async function start(engine: Engine): Promise<Toolbox> {
  const app = engine.app();
  const tasks = toolbox(app);
  await app.worker().start();
  return tasks;
}

async function value<T>(sent: Promise<AsyncResult<T>>): Promise<T> {
  return (await sent).get(soon);
}

async function failure(sent: Promise<AsyncResult<unknown>>): Promise<TaskFailedError> {
  const error = await value(sent).catch((reason: unknown) => reason);
  if (!(error instanceof TaskFailedError)) throw new Error(`expected a failed run, got ${String(error)}`);
  return error;
}

onEveryEngine('a chain', (engine) => {
  test('gives each result to the next step and its last one to the caller', async () => {
    const { add, double, runs } = await start(engine);
    expect(await value(chain(add, double, double).delay({ x: 1, y: 2 }))).toBe(12);
    expect(runs.map((run) => run.task)).toEqual(['add', 'double', 'double']);
  });

  test('of one step is that step', async () => {
    const { double } = await start(engine);
    expect(await value(chain(double).delay(4))).toBe(8);
  });

  test('splices chains inside it', async () => {
    const { double, add } = await start(engine);
    const inner = chain(double, add.into('x', { y: 1 }));
    expect(await value(chain(inner, chain(chain(double)), inner).delay(1))).toBe(13);
  });

  test('takes a list of steps of any length', async () => {
    const { double } = await start(engine);
    expect(await value(chain.of(Array.from({ length: 12 }, () => double)).delay(1))).toBe(4096);
  });

  test('leaves an immutable step alone', async () => {
    const { double, add, tick } = await start(engine);
    expect(await value(chain(double, tick.si(), add.si({ x: 20, y: 1 }), double).delay(1))).toBe(42);
  });

  test('merges bound keys over the previous result', async () => {
    const app = engine.app();
    const { add } = toolbox(app);
    const point = app.task({ name: 'point', run: async () => ({ x: 1, y: 2 }) });
    await app.worker().start();
    expect(await value(chain(point, add.s({ y: 10 })).delay())).toBe(11);
  });

  test('gives every job the run it belongs to', async () => {
    const { double, runs } = await start(engine);
    const result = await chain(double, double).delay(1);
    await result.get(soon);
    expect(runs.map((run) => run.runId)).toEqual([result.id, result.id]);
  });

  test('keeps the place of a step that is retried', async () => {
    const { double, flaky, runs } = await start(engine);
    expect(await value(chain(double, flaky, double).delay(1))).toBe(4);
    const tries = runs.filter((run) => run.task === 'flaky');
    expect(tries.map((run) => run.attempt)).toEqual([1, 2, 3]);
    expect(new Set(tries.map((run) => run.id)).size).toBe(1);
  });

  test.each([['first'], ['middle'], ['last']])(
    'that fails at its %s step runs no later one',
    async (place) => {
      const { double, fail, echo, count } = await start(engine);
      const steps = { first: [fail, double, echo], middle: [double, fail, echo], last: [double, echo, fail] }[
        place
      ];
      const sent = chain.of((steps ?? []) as (typeof double)[]).delay(1);
      const error = await failure(sent);
      expect(error).toMatchObject({ task: 'fail', message: expect.stringContaining('it went wrong') });
      expect(error.cause).toMatchObject({ name: 'Boom', message: 'it went wrong' });
      expect(await (await sent).state()).toBe('failed');
      expect(count('fail')).toBe(1);
      expect(count('echo')).toBe(place === 'last' ? 1 : 0);
    },
  );

  test('fails at a step whose piped input does not fit, naming task and path', async () => {
    const { echo, double } = await start(engine);
    const untyped = echo as unknown as typeof double;
    const error = await failure(chain(untyped, double).delay('text' as unknown as number));
    expect(error.task).toBe('double');
    expect(error.cause).toBeInstanceOf(ValidationError);
    expect(error.cause).toMatchObject({ issues: [{ path: 'input' }] });
  });

  test('fails clearly when keys are bound and the previous result is no object', async () => {
    const { double, add } = await start(engine);
    const error = await failure(chain(double, add.s({ y: 4 }) as unknown as typeof double).delay(1));
    expect(error.task).toBe('add');
    expect(error.cause.message).toContain('a number, not an object; pass it into one key with .into(key');
  });

  test('starts after its countdown', async () => {
    const { double, runs } = await start(engine);
    const sentAt = performance.now();
    const result = await chain(double, double).applyAsync(1, { countdown: 250 });
    expect(await result.get(soon)).toBe(4);
    expect(performance.now() - sentAt).toBeGreaterThanOrEqual(245);
    expect(runs).toHaveLength(2);
  });

  test('of many steps arrives at its end', async () => {
    const { double, add } = await start(engine);
    const steps = Array.from({ length: 150 }, () => add.into('x', { y: 1 }));
    expect(await value(chain(double, chain.of(steps)).delay(0))).toBe(150);
  });
});

onEveryEngine('a group', (engine) => {
  test('gives results in declared order, whatever finishes first', async () => {
    const { hold, double, signals } = await start(engine);
    const held = once(signals, 'held');
    const result = await group([hold.si(1), double.si(1), double.si(2)]).delay();
    await held;
    signals.emit('release');
    expect(await result.get(soon)).toEqual([1, 2, 4]);
  });

  test('of a record gives a record with the same keys, in the same order', async () => {
    const { double, add } = await start(engine);
    const result = await value(
      group({ zebra: double.si(2), __proto: double.si(3), add: add.si({ x: 1, y: 1 }) }).delay(),
    );
    expect(result).toEqual({ zebra: 4, __proto: 6, add: 2 });
    expect(Object.keys(result)).toEqual(['zebra', '__proto', 'add']);
  });

  test('of one member gives a list of one', async () => {
    const { double } = await start(engine);
    expect(await value(group([double]).delay(3))).toEqual([6]);
    expect(await value(chain(double, group([double])).delay(3))).toEqual([12]);
  });

  test('without members gives an empty list at once', async () => {
    const { double, sum, add } = await start(engine);
    expect(await value(chain(double, group([])).delay(1))).toEqual([]);
    expect(await value(chain(double, group([]), sum).delay(1))).toBe(0);
    expect(await value(chord([] as (typeof add)[], sum).delay({ x: 1, y: 1 }))).toBe(0);
  });

  test('without members after a failed step fails', async () => {
    const { fail, sum, count } = await start(engine);
    expect((await failure(chain(fail, group([])).delay(1))).task).toBe('fail');
    expect((await failure(chain(fail, group([]), sum).delay(1))).task).toBe('fail');
    expect(count('sum')).toBe(0);
  });

  test('of nothing but empty groups needs no job', async () => {
    const nothing: (typeof empty)[] = [];
    const empty = group([]);
    expect(await value(group(nothing).delay())).toEqual([]);
    expect(await value(group([group([]), group({})]).delay())).toEqual([[], {}]);
  });

  test('keeps the nesting of groups in it', async () => {
    const { double } = await start(engine);
    expect(await value(group([double, group([double, group({ deep: double })])]).delay(1))).toEqual([
      2,
      [2, { deep: 2 }],
    ]);
  });

  test('after a step gives that step’s result to every member, which still run once each', async () => {
    const { double, add, sum, runs } = await start(engine);
    const result = await chain(
      double,
      group([double, add.into('y', { x: 1 }), chain(double, double)]),
      sum,
    ).delay(1);
    expect(await result.get(soon)).toBe(4 + 3 + 8);
    expect(new Set(runs.map((run) => run.id)).size).toBe(runs.length);
    expect(runs).toHaveLength(6);
  });

  test('after a group receives the whole list in every member', async () => {
    const { double, sum } = await start(engine);
    expect(await value(chain(group([double, double]), group([sum, sum]), sum).delay(1))).toBe(8);
  });

  test('that has a failing member fails with that member’s error and lets the others end', async () => {
    const { double, fail, hold, signals, count } = await start(engine);
    const held = once(signals, 'held');
    const sent = chain(double, group([hold, fail, double])).delay(1);
    await held;
    const error = await failure(sent);
    expect(error.task).toBe('fail');
    expect(error.cause).toMatchObject({ name: 'Boom' });
    signals.emit('release');
    expect([count('hold'), count('fail')]).toEqual([1, 1]);
  });
});

onEveryEngine('a chord', (engine) => {
  test('runs its body once, with all results of its header', async () => {
    const { double, sum, count } = await start(engine);
    expect(await value(chord([double.si(1), double.si(2), double.si(3)], sum).delay())).toBe(12);
    expect(count('sum')).toBe(1);
  });

  test('is the same as a chain of a group and a step', async () => {
    const { double, sum } = await start(engine);
    const header = [double, chain(double, double)] as const;
    expect(await value(chord(header, sum).delay(1))).toBe(await value(chain(group(header), sum).delay(1)));
  });

  test('takes a composition as its body', async () => {
    const { double, sum } = await start(engine);
    expect(
      await value(
        chord([double, double], chain(sum, group({ once: double, twice: chain(double, double) }))).delay(1),
      ),
    ).toEqual({ once: 8, twice: 16 });
  });

  test('with an immutable body runs it after the header, without its results', async () => {
    const { double, add, runs } = await start(engine);
    expect(await value(chord([double.si(1), double.si(2)], add.si({ x: 1, y: 1 })).delay())).toBe(2);
    expect(runs.at(-1)?.task).toBe('add');
  });

  test('with a failing header never runs its body', async () => {
    const { double, fail, sum, count } = await start(engine);
    const error = await failure(chord([double, chain(double, fail), double], chain(sum, double)).delay(1));
    expect(error.cause).toMatchObject({ name: 'Boom', message: 'it went wrong' });
    expect(count('sum')).toBe(0);
  });

  test('with an immutable body never runs it after a failing header', async () => {
    const { double, fail, add, count } = await start(engine);
    const error = await failure(chord([double.si(1), fail.si(1)], add.si({ x: 1, y: 1 })).delay());
    expect(error.task).toBe('fail');
    expect(count('add')).toBe(0);
  });

  test('with several failing members fails once', async () => {
    const { fail, sum, count } = await start(engine);
    const error = await failure(chord([fail, fail, fail], sum).delay(1));
    expect(error.task).toBe('fail');
    expect(count('sum')).toBe(0);
  });

  test('of a thousand members joins them all', async () => {
    const { double, sum, count } = await start(engine);
    expect(
      await value(
        chord(
          Array.from({ length: 1000 }, (_, n) => double.si(n)),
          sum,
        ).delay(),
      ),
    ).toBe(999_000);
    expect([count('double'), count('sum')]).toEqual([1000, 1]);
  });

  test('after a step spreads over hundreds of members', async () => {
    const { double, sum } = await start(engine);
    const members = Array.from({ length: 450 }, () => double);
    expect(await value(chain(double, chord(members, sum)).delay(1))).toBe(1800);
  });
});

onEveryEngine('three levels of nesting', (engine) => {
  test('give one result, in order, with every step run once', async () => {
    const { double, sum, add, runs } = await start(engine);
    const workflow = chain(
      double,
      group({
        left: chord([double, chain(double, group([double, double]), sum)], sum),
        right: chain(double, group([add.into('x', { y: 1 }), chord([double, double], sum)])),
      }),
    );
    // 1 → 2; left: 4 and (4 → 8, 8 → 16) → 20; right: 4 → [5, 8 + 8]
    expect(await value(workflow.delay(1))).toEqual({ left: 20, right: [5, 16] });
    expect(new Set(runs.map((run) => run.id)).size).toBe(runs.length);
    expect(runs).toHaveLength(12);
  });

  test('fail as a whole when a step in the third level fails, and no join runs', async () => {
    const { double, sum, fail, count } = await start(engine);
    const workflow = chain(
      double,
      group([chord([double, chain(double, group([double, fail]), sum)], sum), double]),
      sum,
    );
    const error = await failure(workflow.delay(1));
    expect(error.task).toBe('fail');
    expect(error.cause).toMatchObject({ name: 'Boom', message: 'it went wrong' });
    expect(count('sum')).toBe(0);
  });
});

onEveryEngine('a workflow', (engine) => {
  test('is sent many times without its runs touching each other', async () => {
    const { double, sum } = await start(engine);
    const workflow = chain(double, group([double, double]), sum);
    const sent = await Promise.all(Array.from({ length: 20 }, (_, n) => workflow.delay(n)));
    expect(await Promise.all(sent.map((result) => result.get(soon)))).toEqual(
      Array.from({ length: 20 }, (_, n) => n * 8),
    );
  });

  test('is run by workers in several apps together', async () => {
    const app = engine.app();
    const { double, sum } = toolbox(app);
    const others = [1, 2].map(() => engine.sameApp());
    const boxes = others.map((other) => toolbox(other));
    await Promise.all(others.map((other) => other.worker({ concurrency: 1 }).start()));
    const members = Array.from({ length: 60 }, (_, n) => double.si(n));
    expect(await value(chord(members, sum).delay())).toBe(3540);
    expect(boxes.reduce((total, { count }) => total + count('double'), 0)).toBe(60);
    expect(boxes.reduce((total, { count }) => total + count('sum'), 0)).toBe(1);
  });

  test('hands its options to the tasks that have none of their own', async () => {
    const app = engine.app({ queues: ['shared', 'own'] });
    const { double, runs } = toolbox(app);
    await app.worker({ queues: ['shared', 'own'] }).start();
    const workflow = group([double, double.set({ queue: 'own' })]);
    expect(await value(workflow.applyAsync(1, { queue: 'shared' }))).toEqual([2, 2]);
    expect(await value(workflow.set({ queue: 'shared' }).delay(1))).toEqual([2, 2]);
    expect(runs).toHaveLength(4);
  });

  test('hands its headers to every step, however it comes to be', async () => {
    const app = engine.app();
    const tenant = app.task({
      name: 'tenant',
      input: z.unknown(),
      run: async (value, { headers }) => [headers.tenant ?? '-', value],
    });
    await app.worker().start();
    const workflow = chain(tenant, group([tenant, tenant.set({ headers: { tenant: 'own' } })]));
    const result = await workflow.applyAsync(0, { headers: { tenant: 'acme' } });
    expect(await result.get(soon)).toEqual([
      ['acme', ['acme', 0]],
      ['own', ['acme', 0]],
    ]);
  });

  test('keeps the options of its only step', async () => {
    const app = engine.app({ queues: ['shared', 'own'] });
    const { double, runs } = toolbox(app);
    await app.worker({ queues: ['own'] }).start();
    const own = double.set({ queue: 'own' });
    expect(await value(chain(own).applyAsync(1, { queue: 'shared' }))).toBe(2);
    expect(await value(group([own]).applyAsync(1, { queue: 'shared' }))).toEqual([2]);
    expect(runs).toHaveLength(2);
  });

  test('refuses what JSON would change, and immutable calls that do not fit, in every step', async () => {
    const { double, add, echo } = await start(engine);
    const odd = { x: Number.NaN, y: 1 };
    await expect(chain(double, add.si(odd)).delay(1)).rejects.toThrow('input.x: JSON cannot carry NaN');
    await expect(chain(double, group([add.si(odd)])).delay(1)).rejects.toThrow('JSON cannot carry NaN');
    await expect(chain(double, add.into('x', { y: Number.NaN })).delay(1)).rejects.toThrow('input.y');
    const bad = { x: 'one', y: 1 } as unknown as { x: number; y: number };
    await expect(chain(echo, add.si(bad)).delay(1)).rejects.toThrow(ValidationError);
  });

  test('takes a key that is bound to undefined from the step before', async () => {
    const app = engine.app();
    const { add } = toolbox(app);
    const point = app.task({ name: 'point', run: async () => ({ x: 1, y: 2 }) });
    await app.worker().start();
    const y = undefined as unknown as number;
    expect(await value(chain(point, add.s({ y })).delay())).toBe(3);
    expect(await value(add.s({ y }).delay({ x: 1, y: 5 } as { x: number }))).toBe(6);
  });

  test('refuses an invalid start before anything is stored', async () => {
    const { add, double } = await start(engine);
    const error = await chain(add, double)
      .delay({ x: 1 } as { x: number; y: number })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({ task: 'add', issues: [{ path: 'input.y' }] });
  });

  test('refuses an input that no step takes', async () => {
    const { double } = await start(engine);
    await expect(chain(double.si(1), double).delay(5)).rejects.toThrow(CanvasError);
  });

  test('refuses steps of different apps', () => {
    const { double } = toolbox(engine.app());
    const { sum } = toolbox(engine.app());
    expect(() => chord([double.si(1)], sum)).toThrow('different apps');
  });

  test('says what is wrong with a value that is not a step', async () => {
    const { double, sum } = await start(engine);
    const sent = double.delay(1);
    expect(() => chain(double, sent as unknown as typeof double)).toThrow(
      'Step 2 of the chain is a promise, not a step. Pass a task, a signature (task.s(…), task.si(…)) or a composition; .delay() already sends the call.',
    );
    expect(() => group({ a: 1 as unknown as typeof double })).toThrow('Member "a" of the group is a number');
    expect(() => chord([double], undefined as unknown as typeof sum)).toThrow(
      'The body of the chord is undefined',
    );
    expect(() => (chain as unknown as () => void)()).toThrow('A chain needs at least one step.');
    await sent;
  });
});

describe('the error of a step that did not run', () => {
  test('names the step that failed first', () => {
    const error = new UpstreamFailedError({ task: 'a', jobId: '1', error: { name: 'Boom', message: 'no' } });
    expect(error.message).toBe('Not run: task "a" (job 1) failed: no');
  });
});
