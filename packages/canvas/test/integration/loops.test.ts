import { once } from 'node:events';
import { chain, fallback, fromJSON, group, loop, map, sleep } from '@umbel/canvas';
import type { AsyncResult } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { failure, start as running, soon, value } from '../support/running.js';

/** With tasks that count, one of which tells what it costs. */
async function start(engine: Engine) {
  const all = await running(engine);
  const { app } = all;
  const turns: number[] = [];
  const next = app.task({
    name: 'next',
    input: z.object({ n: z.number() }),
    run: async ({ n }) => {
      turns.push(n);
      return { n: n + 1, cost: 2 };
    },
  });
  const isFive = app.task({
    name: 'isFive',
    input: z.object({ n: z.number() }),
    run: async ({ n }) => n === 5,
  });
  const state = (id: string) => app.result(id).state();
  const turnOf = (run: AsyncResult<unknown>, turn: number) => app.result(`${run.id}.0@${turn}`);
  return { ...all, turns, next, isFive, state, turnOf };
}

onEveryEngine('a loop', (engine) => {
  test('repeats its body with the result of the turn before, until a condition holds', async () => {
    const { next, turns } = await start(engine);
    const result = await value(loop(next, { until: { n: { gte: 3 } }, max: 10 }).delay({ n: 0 }));
    expect(result).toEqual({ value: { n: 3, cost: 2 }, stopped: 'done' });
    expect(turns).toEqual([0, 1, 2]);
  });

  test('makes a turn before it tests, and at most as many as it says', async () => {
    const { next, turns } = await start(engine);
    expect(await value(loop(next, { until: { n: 1 }, max: 1 }).delay({ n: 0 }))).toMatchObject({
      stopped: 'done',
    });
    expect(await value(loop(next, { until: { n: -1 }, max: 4 }).delay({ n: 0 }))).toEqual({
      value: { n: 4, cost: 2 },
      stopped: 'max',
    });
    expect(turns).toHaveLength(5);
  });

  test('asks a step whether it is done', async () => {
    const { next, isFive } = await start(engine);
    expect(await value(loop(next, { until: isFive, max: 10 }).delay({ n: 0 }))).toMatchObject({
      value: { n: 5 },
      stopped: 'done',
    });
  });

  test('fails if the step that decides does, or returns neither true nor false', async () => {
    const { app, next, fail } = await start(engine);
    const failed = await failure(loop(next, { until: fail as never, max: 3 }).delay({ n: 0 }));
    expect(failed.task).toBe('fail');
    const vague = app.task({ name: 'vague', input: z.unknown(), run: async () => 'yes' });
    const error = await failure(loop(next, { until: vague as never, max: 3 }).delay({ n: 0 }));
    expect(error.message).toContain('the step that decides must return true or false, it returned a string');
  });

  test('stops before a turn that would start with its budget used up', async () => {
    const { next, turns } = await start(engine);
    const budget = { key: 'cost', max: 5 } as const;
    expect(await value(loop(next, { until: { n: -1 }, max: 10, budget }).delay({ n: 0 }))).toEqual({
      value: { n: 3, cost: 2 },
      stopped: 'budget',
    });
    expect(turns).toHaveLength(3);
    const exact = { key: 'cost', max: 4 } as const;
    expect(
      await value(loop(next, { until: { n: -1 }, max: 10, budget: exact }).delay({ n: 0 })),
    ).toMatchObject({ value: { n: 2 }, stopped: 'budget' });
  });

  test.each([[undefined], ['2'], [-1]])('fails with words for a turn that spends %j', async (cost) => {
    const { app } = await start(engine);
    const odd = app.task({ name: 'odd', input: z.unknown(), run: async () => ({ cost: cost as number }) });
    const budget = { key: 'cost', max: 5 } as const;
    const error = await failure(loop(odd, { until: { cost: 99 }, max: 10, budget }).delay());
    expect(error.message).toContain(
      'input.cost: expected the number that the turn adds to the budget, 0 or more',
    );
  });

  test('waits between two turns, and can be woken there', async () => {
    const { next, state, turns } = await start(engine);
    const sent = Date.now();
    await value(loop(next, { until: { n: 3 }, max: 9, every: 100 }).delay({ n: 0 }));
    expect(Date.now() - sent).toBeGreaterThanOrEqual(200);
    const run = await loop(next, { until: { n: 3 }, max: 9, every: '1h' }).delay({ n: 0 });
    for (const turn of [1, 2]) {
      await vi.waitFor(async () => expect(await state(`${run.id}.0`)).toBe('delayed'));
      const [node] = (await run.graph()).nodes.filter(({ kind }) => kind === 'loop');
      expect(node).toMatchObject({
        state: 'delayed',
        turn: { number: turn, max: 9 },
        until: expect.any(Date),
      });
      await vi.waitFor(async () => expect(await run.wake('0')).toBe(1));
    }
    expect(await run.get(soon)).toMatchObject({ value: { n: 3 }, stopped: 'done' });
    expect(await run.wake('0')).toBe(0);
    expect(turns).toHaveLength(6);
  });

  test('cannot be woken during a turn', async () => {
    const { hold, signals } = await start(engine);
    const held = once(signals, 'held');
    const run = await loop(hold, { until: { n: 1 } as never, max: 1, every: '1h' }).delay(1);
    await held;
    await expect(run.wake('0')).rejects.toThrow('does not wait now');
    signals.emit('release');
    expect(await run.get(soon)).toEqual({ value: 1, stopped: 'max' });
  });

  test('takes any composition as its body, in any place', async () => {
    const { add, double, sum, echo, next } = await start(engine);
    const body = chain(double, group([double, double]), sum);
    expect(
      await value(chain(double, loop(body, { until: { n: 1 } as never, max: 2 }), echo).delay(1)),
    ).toEqual({
      value: 128,
      stopped: 'max',
    });
    const unwrap = chain(loop(next, { until: { n: -1 }, max: 2 }), echo);
    expect(await value(group([loop(next, { until: { n: 9 }, max: 3 }), unwrap]).delay({ n: 6 }))).toEqual([
      { value: { n: 9, cost: 2 }, stopped: 'done' },
      { value: { n: 8, cost: 2 }, stopped: 'max' },
    ]);
    const mapped = map(loop(next, { until: { n: 3 }, max: 9 }), [{ n: 0 }, { n: 1 }, { n: 2 }]);
    expect(await value(mapped.delay())).toEqual(Array(3).fill({ value: { n: 3, cost: 2 }, stopped: 'done' }));
    expect(await value(loop(chain(double, sleep(5)), { until: { n: 1 } as never, max: 3 }).delay(1))).toEqual(
      {
        value: 8,
        stopped: 'max',
      },
    );
    void add;
  });

  test('nests', async () => {
    const { app, next } = await start(engine);
    const unpack = app.task({
      name: 'unpack',
      input: z.object({ value: z.object({ n: z.number() }) }),
      run: async ({ value: { n } }) => ({ n }),
    });
    const inner = chain(loop(next, { until: { n: -1 }, max: 2 }), unpack);
    expect(await value(loop(inner, { until: { n: { gte: 6 } }, max: 9 }).delay({ n: 0 }))).toEqual({
      value: { n: 6 },
      stopped: 'done',
    });
  });

  test('keeps its last turns and removes the others', async () => {
    const { next, turnOf } = await start(engine);
    const run = await loop(next, { until: { n: -1 }, max: 20 }).delay({ n: 0 });
    await run.get(soon);
    const states = await Promise.all(Array.from({ length: 20 }, (_, turn) => turnOf(run, turn + 1).state()));
    expect(states).toEqual([...Array(14).fill('unknown'), ...Array(6).fill('completed')]);
    const children = await engine.bareQueue('umbel').getJob(`${run.id}.0`);
    expect(Object.keys((await children?.getChildrenValues()) ?? {})).toHaveLength(6);
    expect(await turnOf(run, 20).get(soon)).toEqual({ n: 20, cost: 2 });
  });

  test('fails with its body, and is resumed at that turn', async () => {
    const { app, turns } = await start(engine);
    let isBroken = true;
    const fragile = app.task({
      name: 'fragile',
      input: z.number(),
      run: async (n) => {
        turns.push(n);
        if (n === 3 && isBroken) throw new Error('broken');
        return n + 1;
      },
    });
    const run = await loop(fragile, { until: { n: 1 } as never, max: 6 }).delay(0);
    await expect(run.get(soon)).rejects.toMatchObject({ task: 'fragile', jobId: `${run.id}.0@4` });
    isBroken = false;
    expect(await run.resume()).toBe(3);
    expect(await run.get(soon)).toEqual({ value: 6, stopped: 'max' });
    expect(turns).toEqual([0, 1, 2, 3, 3, 4, 5]);
  });

  test('is revoked inside a turn', async () => {
    const { hold, signals, count } = await start(engine);
    const held = once(signals, 'held');
    const run = await loop(hold, { until: { n: 1 } as never, max: 5 }).delay(1);
    await held;
    expect(await run.revoke()).toBe(true);
    signals.emit('release');
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(count('hold')).toBe(1);
  });

  test('is revoked between two turns', async () => {
    const { next, state, turns } = await start(engine);
    const run = await loop(next, { until: { n: -1 }, max: 5, every: '1h' }).delay({ n: 0 });
    await vi.waitFor(async () => expect(await state(`${run.id}.0`)).toBe('delayed'));
    expect(await run.revoke()).toBe(true);
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(turns).toEqual([0]);
  });

  test('ends a turn with ctx.stop, and passes failures to a fallback', async () => {
    const { app, double, echo, fail } = await start(engine);
    const stop = app.task({
      name: 'stop',
      input: z.number(),
      run: async (n, ctx): Promise<number> => ctx.stop(n + 1),
    });
    const run = await loop(chain(stop, double), { until: { n: 1 } as never, max: 3 }).delay(1);
    expect(await run.get(soon)).toEqual({ value: 4, stopped: 'max' });
    const safe = fallback(loop(fail, { until: { n: 1 } as never, max: 3 }), echo.si('instead'));
    expect(await value(safe.delay(1))).toBe('instead');
    const upstream = await failure(chain(fail, loop(double, { until: { n: 1 } as never, max: 2 })).delay(1));
    expect(upstream.task).toBe('fail');
  });

  test('is the same after it was stored as JSON', async () => {
    const { app, next, isFive } = await start(engine);
    const flow = loop(next, { until: isFive, max: 9, every: 1, budget: { key: 'cost', max: 99 } });
    const again = fromJSON(app, JSON.parse(JSON.stringify(flow)));
    expect(again.toJSON()).toEqual(flow.toJSON());
    expect(await value(again.delay({ n: 3 }))).toMatchObject({ value: { n: 5 }, stopped: 'done' });
  });

  test('shows its last turn in the graph, and counts it', async () => {
    const { next, isFive } = await start(engine);
    const flow = chain(next, loop(chain(next, next), { until: isFive, max: 9 }), next.si({ n: 0 }));
    const planned = flow.graph();
    expect(planned.nodes.map(({ label }) => label)).toEqual([
      'next',
      'next',
      'next',
      'isFive',
      'loop',
      'next',
    ]);
    expect([planned.jobs, planned.isExact]).toEqual([5, false]);
    const run = await flow.delay({ n: 0 });
    await run.get(soon);
    const { nodes, edges } = await run.graph();
    expect(nodes.map(({ label, state }) => `${label} ${state}`)).toEqual([
      'next completed',
      'next completed',
      'next completed',
      'isFive completed',
      'loop, turn 2 of 9 completed',
      'next completed',
    ]);
    expect(
      edges.map(({ from, to }) => [from, to].map((id) => nodes.findIndex((node) => node.id === id))),
    ).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
      [4, 5],
    ]);
    expect(await run.counts()).toMatchObject({ total: 5, done: 5, completed: 5 });
  });
});
