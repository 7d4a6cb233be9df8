import { CanvasError, chain, chord, group } from '@umbel/canvas';
import { UpstreamFailedError, ValidationError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { failure, soon, start, value } from '../support/running.js';
import { toolbox } from '../support/toolbox.js';

onEveryEngine('a chain', (engine) => {
  test('takes a list of steps of any length', async () => {
    const { double } = await start(engine);
    expect(await value(chain.of(Array.from({ length: 12 }, () => double)).delay(1))).toBe(4096);
  });

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
    expect(error.cause.message).toContain('a number, not an object; put it under one key with .into(key');
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
  test('without members after a failed step fails', async () => {
    const { fail, sum, count } = await start(engine);
    expect((await failure(chain(fail, group([])).delay(1))).task).toBe('fail');
    expect((await failure(chain(fail, group([]), sum).delay(1))).task).toBe('fail');
    expect(count('sum')).toBe(0);
  });
});

onEveryEngine('a chord', (engine) => {
  test('after a step spreads over hundreds of members', async () => {
    const { double, sum } = await start(engine);
    const members = Array.from({ length: 450 }, () => double);
    expect(await value(chain(double, chord(members, sum)).delay(1))).toBe(1800);
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
      'Step 2 of the chain is a promise, not a step. Pass a task, a signature (task.s(…), task.si(…)) or a workflow; .delay() already sends the call.',
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

onEveryEngine('a worker that is told its queues', (engine) => {
  test('serves the jobs that Umbel adds too, so that failures reach whoever waits (W17)', async () => {
    const app = engine.app();
    const { double, fail, sum } = toolbox(app);
    await app.worker({ queues: ['default'] }).start();
    expect(await value(chain(double, group([double, double]), sum).delay(1))).toBe(8);
    expect((await failure(chord([double.si(1), fail.si(1)], sum).delay())).task).toBe('fail');
  });
});
