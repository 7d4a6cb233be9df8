import {
  chain,
  chord,
  chunks,
  fallback,
  flat,
  fromJSON,
  group,
  map,
  match,
  starmap,
  when,
} from '@umbel/canvas';
import { ValidationError } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../../test/engines.js';
import type { AnySignature } from '../../support/places.js';
import { failure, type Running, soon, start, value } from '../../support/running.js';

/** One of each construct, with options and callbacks on several levels. */
function everything({ add, double, sum, echo, note }: Running) {
  const options = { priority: 3, tags: ['a'], headers: { from: 'here' }, retry: { attempts: 2, delay: 1 } };
  const routed = echo.si({ kind: 'a', n: 2 });
  return chain(
    double.set(options).link(note).linkError(note.tag('told')),
    group([double, add.into('x', { y: 1 }), chain(double, group({ a: double, b: double.si(4) }))]).tag('b'),
    chord([echo.s(), group.settled([echo])], echo).finally(chain(note, note)),
    group.any([echo, echo], { cancelSiblings: true }),
    group.atLeast(1, [map(double, [1, 2]), chunks(double, [1, 2, 3], 2)]),
    flat(echo as never),
    routed,
    match('kind', { a: echo, b: chain(echo, echo) }) as never,
    when({ kind: 'a', n: { gt: 1 } }, echo, echo.set({ countdown: 5 })) as never,
    fallback(echo, note),
    starmap(add, ['x', 'y'], [[1, 2]]),
    sum.set({ timeout: '1m', expires: '1h' }),
  );
}

function deepFreeze<T>(data: T): T {
  if (typeof data === 'object' && data !== null) {
    for (const inner of Object.values(data)) deepFreeze(inner);
    Object.freeze(data);
  }
  return data;
}

onEveryEngine('signatures', (engine) => {
  test('1. a signature is plain data: building, cloning, linking and running change no other one', async () => {
    const tasks = await start(engine);
    const { app, note, double, runs } = tasks;
    const whole = everything(tasks);
    // Frozen to its depths, whatever writes to it throws.
    const before = JSON.stringify(deepFreeze(whole.toJSON()));
    const again = fromJSON(app, JSON.parse(before));
    expect(again.toJSON()).toEqual(JSON.parse(before));
    whole.set({ priority: 9 }).tag('c').link(note).linkError(note).finally(note).pipe(note);
    group([whole, whole, double]).set({ queue: 'default' });
    expect(JSON.stringify(whole)).toBe(before);
    expect(runs).toEqual([]);
    const results = await Promise.all([value(whole.delay(1)), value(again.delay(1)), value(whole.delay(1))]);
    expect(results).toEqual([3, 3, 3]);
    expect(JSON.stringify(whole)).toBe(before);
    expect(again.toJSON()).toEqual(JSON.parse(before));
  });

  test('1. a signature sends nothing, at every depth equal after JSON and back', async () => {
    const tasks = await start(engine);
    let whole: AnySignature = everything(tasks) as AnySignature;
    for (let depth = 0; depth < 10; depth += 1) {
      whole = chain(group({ whole }), fallback(map(whole) as AnySignature, tasks.echo)).link(tasks.note);
    }
    expect(fromJSON(tasks.app, JSON.parse(JSON.stringify(whole))).toJSON()).toEqual(whole.toJSON());
    for (const name of ['umbel', 'default'])
      expect(await engine.bareQueue(name).getJobCountByTypes('waiting', 'completed', 'delayed')).toBe(0);
  });

  test('2. task.s(partial) leaves keys open, task.si(input) ignores what comes', async () => {
    const { add, double, echo } = await start(engine);
    expect(await value(add.s({ x: 1 }).delay({ y: 2 }))).toBe(3);
    expect(await value(chain(echo.si({ x: 5, y: 7 }), add.s({ y: 2 }) as never).delay())).toBe(7);
    expect(await value(chain(double, add.si({ x: 1, y: 2 })).delay(40))).toBe(3);
    const error = await failure(chain(echo.si({ y: 7 }), add.s({ y: 2 }) as never).delay());
    expect(error.cause).toBeInstanceOf(ValidationError);
    expect(error.cause).toMatchObject({ task: 'add', issues: [{ path: 'input.x' }] });
    await expect(add.s({ x: 1 }).delay({} as { y: number })).rejects.toMatchObject({
      task: 'add',
      issues: [{ path: 'input.y' }],
    });
  });

  test('3. options given when a canvas is submitted apply to every node, and a node’s own win', async () => {
    const { app } = await start(engine, { queues: ['all', 'own'] });
    const seen: Record<string, unknown>[] = [];
    const see = app.task({
      name: 'see',
      input: z.unknown(),
      run: async (given, ctx): Promise<unknown> => {
        const { queue, headers, tags } = ctx;
        seen.push({ queue, tenant: headers.tenant, tags });
        return given === 'replace' ? ctx.replace(see.si('new')) : given;
      },
    });
    await app.worker({ queues: ['all', 'own'] }).start();
    const workflow = chain(
      see.si('replace'),
      group([see, map(see, [1, 2])]),
      when({ none: { exists: true } }, see, chord([see], see)) as never,
      map(see) as never,
      fallback(chain(see, see.si(1)), see),
      see.set({ queue: 'own', headers: { tenant: 'own' } }).tag('mine'),
    );
    const options = { queue: 'all', headers: { tenant: 'acme' }, tags: ['run'] } as const;
    await (await workflow.applyAsync(undefined, options)).get(soon);
    const own = seen.pop();
    expect(own).toEqual({ queue: 'own', tenant: 'own', tags: ['run', 'mine'] });
    // Also what a handler has put in its place.
    for (const each of seen) expect(each).toEqual({ queue: 'all', tenant: 'acme', tags: ['run'] });
    expect(seen.length).toBeGreaterThanOrEqual(10);
  });

  test('3. options given when a canvas is submitted: countdown starts the whole, headers reach callbacks', async () => {
    const { app, double, runs } = await start(engine);
    const seen: unknown[] = [];
    const see = app.task({
      name: 'see',
      input: z.unknown(),
      run: async (_, { headers, tags }) => {
        seen.push([headers.tenant, tags]);
      },
    });
    const workflow = chain(double, group([double, double]).link(see), double.si(1)).finally(chain(see, see));
    const run = await workflow.applyAsync(1, { countdown: '1h', headers: { tenant: 'a' }, tags: ['t'] });
    await vi.waitFor(async () => expect(await engine.bareQueue('default').getDelayedCount()).toBe(1));
    expect(runs).toEqual([]);
    const [job] = await engine.bareQueue('default').getDelayed();
    await job?.promote();
    expect(await run.get(soon)).toBe(2);
    await vi.waitFor(() =>
      expect(seen).toEqual([
        ['a', ['t']],
        ['a', ['t']],
        ['a', ['t']],
      ]),
    );
  });

  test('3. options given when a canvas is submitted: expires holds for the whole run', async () => {
    const { double, hold, signals, runs } = await start(engine);
    const expires = new Date(Date.now() + 4000); // a busy machine has to start the first step before
    const run = await chain(hold, group([double]), map(double) as never).applyAsync(1, { expires });
    await vi.waitFor(() => expect(runs).toHaveLength(1));
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(expires.getTime()), 10_000);
    signals.emit('release');
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'expired', task: 'double' });
    expect(runs).toHaveLength(1);
  });

  test('4. a task that is not registered here is called by name; an unknown one ends as a clear failure', async () => {
    await start(engine);
    const sender = engine.sameApp();
    const far = sender.signature<number>('double');
    expect(await value(chain(far, group([far, far.set({ priority: 2 })])).delay(1))).toEqual([4, 4]);
    expect(await value(far.delay(2))).toBe(4);
    const error = await failure(chain(far, sender.signature('nobody'), far).delay(1));
    expect(error).toMatchObject({ task: 'nobody', state: 'failed', cause: { name: 'UnknownTaskError' } });
    expect(error.message).toContain('no handler in this worker');
  });

  test('5. linking the same callback twice keeps one', async () => {
    const { double, fail, note, notes } = await start(engine);
    const both = note.tag('same');
    const good = double.link(both).link(note.tag('same')).link(note.tag('other'));
    expect(await value(chain(good, double).delay(1))).toBe(4);
    await vi.waitFor(() => expect(notes).toEqual([2, 2]));
    const bad = chain(double, fail).linkError(note).linkError(note).finally(note).finally(note);
    await failure(bad.delay(1));
    await vi.waitFor(() => expect(notes).toHaveLength(4));
    expect(group([double]).link(note).link(note).toJSON()).toEqual(group([double]).link(note).toJSON());
  });
});
