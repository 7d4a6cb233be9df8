/** The graph of a run that was sent: while it goes on and after it, on the stores' own data. */
import { once } from 'node:events';
import { chain, chord, chunks, fallback, group, map, match, when } from '@umbel/canvas';
import {
  type App,
  type AsyncResult,
  type Codec,
  encryption,
  type RunGraph,
  UnknownJobError,
} from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../../test/engines.js';
import { drawn, states } from '../../support/drawn.js';
import { toolbox } from '../../support/toolbox.js';

const soon = { timeout: '50s' } as const;

function prepare(engine: Engine, options: Parameters<Engine['app']>[0] = {}) {
  const app = engine.app(options);
  const numbers = app.task({
    name: 'numbers',
    input: z.number(),
    run: async (n) => Array.from({ length: n }, (_, i) => i),
  });
  const record = app.task({ name: 'record', input: z.unknown(), run: async () => 7 });
  const route = app.task({
    name: 'route',
    input: z.number(),
    run: async (n) => (n > 1 ? { kind: 'big' as const, n } : { kind: 'small' as const, n }),
  });
  const half = app.task({ name: 'half', input: z.object({ n: z.number() }), run: async ({ n }) => n / 2 });
  const tenfold = app.task({
    name: 'tenfold',
    input: z.object({ n: z.number() }),
    run: async ({ n }) => n * 10,
  });
  const isEven = app.task({
    name: 'is-even',
    input: z.object({ n: z.number() }),
    run: async ({ n }) => n % 2 === 0,
  });
  return { app, numbers, record, route, half, tenfold, isEven, ...toolbox(app) };
}

async function ended(sent: Promise<AsyncResult<unknown>>): Promise<RunGraph> {
  const run = await sent;
  await run.outcome(soon);
  return run.graph();
}

/** Lets a worker add the members of a group, and none of them start. */
async function addMembers(app: App, run: AsyncResult<unknown>, count: number): Promise<void> {
  await app.queue('default').pause();
  await app.worker({ concurrency: 20 }).start();
  await vi.waitFor(
    async () => expect(await run.counts()).toMatchObject({ waiting: count, pending: 0 }),
    5000,
  );
}

onEveryEngine('the graph of a run', (engine) => {
  test('35. run.graph() is that of the composition, with states and times, before, while and after it runs', async () => {
    const { app, double, echo, hold, signals } = prepare(engine);
    const steps = chain(double, group([hold, double]), echo);
    const run = await steps.delay(1);
    const planned = drawn(steps.graph());
    const waiting = await run.graph();
    expect(drawn(waiting)).toEqual(planned);
    expect(states(waiting)).toBe('double:waiting hold:pending double:pending echo:waiting-children');
    const held = once(signals, 'held');
    await app.worker().start();
    await held;
    const other = app.result(`${run.id}.0-1.1`);
    await other.get(soon);
    const active = await run.graph();
    expect(drawn(active)).toEqual(planned);
    expect(states(active)).toBe('double:completed hold:active double:completed echo:waiting-children');
    signals.emit('release');
    expect(await run.get(soon)).toEqual([2, 4]);
    const graph = await run.graph();
    expect(drawn(graph)).toEqual(planned);
    expect(states(graph)).toBe('double:completed hold:completed double:completed echo:completed');
    expect(graph).toMatchObject({ id: run.id, jobs: 4, isExact: true });
    const [first] = graph.nodes;
    expect(first).toMatchObject({ id: `${run.id}.0-0`, task: 'double', queue: 'default', attempts: 1 });
    expect(first?.finishedAt?.getTime()).toBe(
      (first?.startedAt?.getTime() ?? 0) + (first?.durationMs ?? Number.NaN),
    );
    expect(await app.result(first?.id ?? '').get(soon)).toBe(2);
  });

  test('is read by its id from another process', async () => {
    const { app, double } = prepare(engine);
    const run = await chain(double, group({ one: double, two: group([double, double]) })).delay(1);
    await app.worker().start();
    await run.get(soon);
    const graph = await engine.sameApp().result(run.id).graph();
    expect(graph.toJSON()).toEqual((await run.graph()).toJSON());
    expect(drawn(graph)[0]).toBe('double double double double');
    expect(graph.edges).toHaveLength(3);
  });

  test('of a call is one node, with its callbacks', async () => {
    const { app, double, echo, fail } = prepare(engine);
    const call = await double.delay(1);
    expect(states(await call.graph())).toBe('double:waiting');
    await app.worker().start();
    expect(states(await ended(double.delay(1)))).toBe('double:completed');
    const linked = await double
      .link(echo)
      .linkError(fail)
      .finally(group([echo, echo]))
      .delay(1);
    await linked.get(soon);
    await vi.waitFor(async () => {
      const graph = await linked.graph();
      expect(drawn(graph)).toEqual(
        [
          'double echo fail echo echo',
          'double→echo link',
          'double→fail linkError',
          'double→echo finally',
        ].flatMap((line, index) => (index === 3 ? [line, line] : [line])),
      );
      expect(states(graph)).toBe(
        'double:completed echo:completed fail:skipped echo:completed echo:completed',
      );
      expect(graph.jobs).toBe(4);
    });
  });

  test('shows callbacks of steps and of the whole', async () => {
    const { app, double, echo, fail } = prepare(engine);
    await app.worker().start();
    const run = await chain(double.link(echo), fail.linkError(echo), double).finally(echo).delay(1);
    await run.outcome(soon);
    await vi.waitFor(async () => {
      const graph = await run.graph();
      expect(drawn(graph)).toEqual([
        'double echo fail echo double echo',
        'double→echo link',
        'double→fail',
        'fail→echo linkError',
        'fail→double',
        'double→echo finally',
      ]);
      expect(states(graph)).toBe(
        'double:completed echo:completed fail:failed echo:completed double:failed echo:completed',
      );
    });
    expect((await run.graph()).nodes[2]).toMatchObject({ error: 'it went wrong', attempts: 1 });
  });

  test('shows which branch was taken', async () => {
    const { app, route, half, tenfold, double, isEven } = prepare(engine);
    const flow = chain(route, match('kind', { big: half, small: chain(tenfold, double) }), double);
    const waiting = await (await flow.delay(8)).graph();
    expect(states(waiting)).toBe(
      'route:waiting half:pending tenfold:pending double:pending double:waiting-children',
    );
    expect(waiting).toMatchObject({ jobs: 3, isExact: false });
    await app.worker().start();
    const big = await ended(flow.delay(8));
    expect(drawn(big)).toEqual(drawn(flow.graph()));
    expect(states(big)).toBe(
      'route:completed half:completed tenfold:skipped double:skipped double:completed',
    );
    expect(big).toMatchObject({ jobs: 3, isExact: true });
    const small = await ended(flow.delay(1));
    expect(drawn(small)).toEqual(drawn(flow.graph()));
    expect(states(small)).toBe(
      'route:completed half:skipped tenfold:completed double:completed double:completed',
    );
    expect(small).toMatchObject({ jobs: 4, isExact: true });
    const tested = chain(route, when(isEven, half), double as never);
    const taken = await ended(tested.delay(8));
    expect(drawn(taken)).toEqual([
      'route is-even half double',
      'route→is-even',
      'is-even→half then',
      'half→double',
    ]);
    expect(states(taken)).toBe('route:completed is-even:completed half:completed double:completed');
    const passed = await ended(chain(route, when({ n: 4 }, half), double as never).delay(3));
    expect(drawn(passed)).toEqual([
      'route half double',
      'route→half then',
      'route→double otherwise',
      'half→double',
    ]);
    expect(states(passed)).toBe('route:completed half:skipped double:failed');
    expect(passed.jobs).toBe(2);
    const by = await ended(chain(route, when({ n: 3 }, tenfold, half)).delay(4));
    expect(states(by)).toBe('route:completed tenfold:skipped half:completed');
  });

  test('shows the other step of a fallback', async () => {
    const { app, double, fail, record } = prepare(engine);
    await app.worker().start();
    const spared = await ended(chain(double, fallback(double, record), double).delay(1));
    expect(drawn(spared)).toEqual([
      'double double record double',
      'double→double',
      'double→record fallback',
      'double→double',
      'record→double',
    ]);
    expect(states(spared)).toBe('double:completed double:completed record:skipped double:completed');
    expect(spared.jobs).toBe(3);
    const needed = await ended(chain(double, fallback(fail, chain(record, double)), double).delay(1));
    expect(states(needed)).toBe(
      'double:completed fail:failed record:completed double:completed double:completed',
    );
    expect(needed.jobs).toBe(5);
  });

  test('shows every member of group.any, also those that were left behind', async () => {
    const { app, double, hold, fail, signals } = prepare(engine);
    const held = once(signals, 'held');
    await app.worker().start();
    const run = await chain(double, group.any([fail, hold, double]), double).delay(1);
    await held;
    expect(await run.get(soon)).toBe(8);
    const graph = await run.graph();
    expect(states(graph)).toBe('double:completed fail:failed hold:active double:completed double:completed');
    expect(graph.edges).toHaveLength(6);
    signals.emit('release');
  });

  test('shows group.settled', async () => {
    const { app, double, fail, echo } = prepare(engine);
    await app.worker().start();
    const graph = await ended(chord(group.settled({ good: double, bad: fail }), echo).delay(1));
    expect(states(graph)).toBe('double:completed fail:failed echo:completed');
  });

  test('shows what was put in the place of a step, and what was added to a group', async () => {
    const { app, double, sum, echo } = prepare(engine);
    const fork = app.task({
      name: 'fork',
      input: z.number(),
      run: async (n, ctx): Promise<number> =>
        n > 3 ? ctx.replace(chain(group([fork.si(n - 1), double.si(n)]), sum)) : n,
    });
    const grow = app.task({
      name: 'grow',
      input: z.number(),
      run: async (n, ctx) => {
        await ctx.addToGroup(echo, n);
        return n;
      },
    });
    await app.worker().start();
    const run = await chain(double, fork, echo).delay(2);
    await run.get(soon);
    expect(drawn(await run.graph())).toEqual([
      'double fork fork double sum echo',
      'double→fork',
      'fork→fork',
      'fork→double',
      'fork→sum',
      'double→sum',
      'sum→echo',
    ]);
    expect(drawn(await ended(fork.delay(4)))[0]).toBe('fork fork double sum');
    const grown = await ended(chain(group([grow, double]), sum).delay(1));
    expect(drawn(grown)).toEqual(['grow double echo sum', 'grow→echo', 'grow→sum', 'double→sum', 'echo→sum']);
  });

  test('shows the steps that an early end has skipped', async () => {
    const { app, double, echo } = prepare(engine);
    const enough = app.task({ name: 'enough', input: z.number(), run: async (n, ctx) => ctx.stop(n) });
    await app.worker().start();
    const graph = await ended(chain(enough, double, group([double, double]), echo).delay(1));
    expect(states(graph)).toBe('enough:completed double:skipped double:skipped double:skipped echo:skipped');
    expect(graph.edges).toHaveLength(5);
  });

  test('of a run that has failed or was revoked tells what did not run', async () => {
    const { app, double, echo, fail, tick } = prepare(engine);
    const late = await chain(tick.set({ countdown: '1h' }), group([double.si(1), tick])).delay();
    expect(states(await late.graph())).toBe('tick:delayed double:pending tick:pending');
    await app.worker().start();
    const failed = await ended(chain(double, fail, group([double, double]), echo).delay(1));
    expect(states(failed)).toBe('double:completed fail:failed double:skipped double:skipped echo:failed');
    await late.revoke();
    await late.outcome(soon);
    expect(states(await late.graph())).toBe('tick:revoked double:skipped tick:skipped');
  });

  test('shows a map over a list: one node until the list is there', async () => {
    const { app, numbers, double, sum } = prepare(engine);
    const run = await chain(numbers, map(double), sum).delay(3);
    const before = await run.graph();
    expect(drawn(before)).toEqual(['numbers double×n sum', 'numbers→double', 'double→sum']);
    expect(before).toMatchObject({ jobs: 2, isExact: false });
    await app.worker().start();
    await run.get(soon);
    const after = await run.graph();
    expect(drawn(after)[0]).toBe('numbers double double double sum');
    expect(after).toMatchObject({ jobs: 5, isExact: true });
    expect(after.edges).toHaveLength(6);
    const none = await ended(chain(numbers, map(double), sum).delay(0));
    expect(drawn(none)).toEqual(['numbers sum', 'numbers→sum']);
    expect(drawn(await ended(chunks(double, [1, 2, 3], 2).delay()))).toEqual(['double double']);
  });

  test('tells labels and errors that were sealed', async () => {
    const codecs = [encryption({ keys: { a: new Uint8Array(32) }, current: 'a' })];
    const { app, double, fail } = prepare(engine, { codecs });
    await app.worker().start();
    const run = await chain(double.set({ displayName: 'Twice' }), group([fail, double])).delay(1);
    await run.outcome(soon);
    await vi.waitFor(async () =>
      expect(states(await run.graph())).toBe('Twice:completed fail:failed double:completed'),
    );
    expect((await run.graph()).nodes[1]?.error).toBe('it went wrong');
  });

  test('shows what is gone from the store as unknown; a whole run that is gone is an error', async () => {
    const { app, double, sum } = prepare(engine);
    await app.worker().start();
    const run = await chain(double, group([double, double]), sum).delay(1);
    await run.outcome(soon);
    await app.result(`${run.id}.0-1.0`).forget();
    const graph = await run.graph();
    expect(states(graph)).toBe('double:completed unknown:unknown double:completed sum:completed');
    await expect(app.result('nothing').graph()).rejects.toThrow(UnknownJobError);
    await run.forget();
    await expect(run.graph()).rejects.toThrow(UnknownJobError);
  });
});

onEveryEngine('the graph of a large group', (engine) => {
  const calls = 250;

  test('35. run.graph() folds large groups: one node with counts, before, while and after it runs', async () => {
    const { app, numbers, double, sum, signals } = prepare(engine);
    const task = app.task({
      name: 'one',
      input: z.number(),
      run: async (n) => {
        if (n === 120) {
          const released = once(signals, 'release');
          signals.emit('held');
          await released;
        }
        if (n === 7) throw new Error('seven');
        return n;
      },
    });
    const run = await chain(numbers, map(chain(double, task)), group.settled([sum])).delay(calls);
    expect(drawn(await run.graph())[0]).toBe('numbers double×n one×n sum');
    const settled = await group.settled(Array.from({ length: calls }, (_, i) => task.si(i))).delay();
    const before = await settled.graph();
    expect(before.nodes).toMatchObject([
      { task: 'one', count: calls, state: 'pending', counts: { pending: calls } },
    ]);
    expect(before).toMatchObject({ jobs: calls, isExact: true });
    await run.revoke();
    const held = once(signals, 'held');
    await app.worker({ concurrency: 20 }).start();
    await held;
    await vi.waitFor(async () => {
      const [node] = (await settled.graph()).nodes;
      expect(node).toMatchObject({
        count: calls,
        state: 'active',
        counts: { completed: calls - 2, failed: 1, active: 1 },
      });
    });
    signals.emit('release');
    await settled.get(soon);
    const after = await settled.graph();
    expect(after.nodes).toMatchObject([{ state: 'failed', counts: { completed: calls - 1, failed: 1 } }]);
    expect(after.toMermaid()).toContain('["one × 250 (249 completed, 1 failed)"]:::failed');
  });

  test('counts step by step where members are compositions', async () => {
    const { app, numbers, double, echo, sum } = prepare(engine);
    await app.worker({ concurrency: 20 }).start();
    const graph = await ended(chain(numbers, map(chain(double, echo)), sum as never).delay(calls));
    expect(drawn(graph)).toEqual([
      `numbers double×${calls} echo×${calls} sum`,
      'numbers→double',
      'double→echo',
      'echo→sum',
    ]);
    expect(graph.nodes[1]).toMatchObject({ counts: { completed: calls }, state: 'completed' });
    expect(graph).toMatchObject({ jobs: 2 + 2 * calls, isExact: true });
    const listed = await ended(
      chain(double, group(Array.from({ length: calls }, (_, i) => echo.si(i)))).delay(1),
    );
    expect(drawn(listed)).toEqual([`double echo×${calls}`, 'double→echo']);
    const small = await ended(
      chain(double, group(Array.from({ length: 30 }, (_, i) => echo.si(i)))).delay(1),
    );
    expect(drawn(small)).toEqual(['double echo×30', 'double→echo']);
  });

  test('tells waiting and revoked members', async () => {
    const { app, double } = prepare(engine);
    const run = await group(Array.from({ length: calls }, (_, i) => double.si(i))).delay();
    await addMembers(app, run, calls);
    const [waiting] = (await run.graph()).nodes;
    expect(waiting).toMatchObject({ state: 'waiting', count: calls, counts: { waiting: calls } });
    await run.revoke();
    await app.queue('default').resume();
    await run.outcome(soon);
    await vi.waitFor(async () => {
      const [node] = (await run.graph()).nodes; // of the failed ones, a hundred are read
      expect(node).toMatchObject({ count: calls, counts: { revoked: 100, failed: calls - 100 } });
    });
  });

  test('does not read its members', async () => {
    const read: string[] = [];
    const codec: Codec = {
      name: 'told',
      encode: (data) => data,
      decode(data, { id }) {
        read.push(id);
        return data;
      },
    };
    const { app, double } = prepare(engine, { codecs: [codec] });
    const run = await group(Array.from({ length: 1000 }, (_, i) => double.si(i))).delay();
    await addMembers(app, run, 1000);
    read.length = 0;
    const graph = await run.graph();
    expect(graph.jobs).toBe(1000);
    expect(read.length).toBeLessThan(10);
    await app.jobs.get(`${run.id}.0.0`);
    expect(read).toContain(`${run.id}.0.0`);
    await app.close();
  });
});
