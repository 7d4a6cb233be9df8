/** Chains that are longer than a stack is deep. */
import { CanvasError, chain, fallback, flat, fromJSON, group, map, match, when } from '@umbel/canvas';
import { type App, createApp } from '@umbel/core';
import type { BackendFactory, IQueueBackend } from 'bullmq';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Engine, memory, onEveryEngine } from '../../../../test/engines.js';
import { sized } from '../../../../test/support/length.js';
import { resolveConnection } from '../../../core/src/store/connection.js';
import { repairQueue } from '../../../core/src/store/repair.js';
import { openStore } from '../../../core/test/support/open-store.js';

const soon = { timeout: '4m' } as const;
const PATIENCE_MS = 300_000;
/** A chain that runs: each step costs the engines half a millisecond or more. */
const LENGTH = sized(300, 10_000);

/** Counts to as many as it has steps. */
function counter(app: App, length: number) {
  const ran: number[] = [];
  const fails = { at: -1 };
  const count = app.task({
    name: 'count',
    input: z.number(),
    run: async (n) => {
      ran.push(n);
      if (n === fails.at) throw new Error('broken');
      return n + 1;
    },
  });
  return { ran, fails, long: chain.of(Array.from({ length }, () => count)) };
}

onEveryEngine('a long chain', (engine) => {
  test('runs all its steps', { timeout: PATIENCE_MS }, async () => {
    const app = engine.app();
    const { long } = counter(app, LENGTH);
    await app.worker().start();
    const run = await long.delay(0);
    expect(await run.get(soon)).toBe(LENGTH);
  });

  test('is drawn, counted and revoked as a short one is', { timeout: PATIENCE_MS }, async () => {
    const steps = sized(engine.name === 'memory' ? 2000 : 300, 10_000);
    const app = engine.app();
    const { long, ran } = counter(app, steps);
    expect(long.graph().nodes).toHaveLength(steps);
    const run = await long.applyAsync(0, { countdown: '1h' });
    expect(await run.counts()).toMatchObject({ total: steps, delayed: 1, pending: steps - 1 });
    expect((await run.graph()).nodes).toHaveLength(steps);
    await run.revoke();
    await app.worker().start();
    await expect(run.get(soon)).rejects.toMatchObject({ cause: { code: 'REVOKED' } });
    expect(ran).toEqual([]);
  });

  test('is counted, drawn, collected and forgotten at any length', { timeout: PATIENCE_MS }, async () => {
    const length = engine.name === 'memory' ? sized(2000, 10_000) : sized(300, 2000);
    const app = engine.app({ sendTimeout: '60s' });
    const { long } = counter(app, length);
    await app.worker().start();
    const run = await long.delay(0);
    expect(await run.get(soon)).toBe(length);
    expect(await run.counts()).toMatchObject({ total: length, completed: length, done: length });
    const graph = await run.graph();
    expect([graph.nodes.length, graph.edges.length, graph.jobs]).toEqual([length, length - 1, length]);
    expect(graph.toMermaid().split('\n').length).toBeGreaterThan(2 * length);
    expect(graph.toDot().split('\n').length).toBeGreaterThan(2 * length);
    const values: unknown[] = [];
    for await (const task of run.collect()) values.push(task.ok && task.value);
    expect(values).toEqual(Array.from({ length }, (_, n) => n + 1));
    await run.forget();
    expect(await run.state()).toBe('unknown');
    expect(await app.queue('default').counts()).toMatchObject({ completed: 0 });
  });

  test('is collected while it runs, each step once and in order', { timeout: PATIENCE_MS }, async () => {
    const steps = sized(200, 500);
    const app = engine.app();
    const { long } = counter(app, steps);
    const run = await long.delay(0);
    await app.worker().start();
    const values: unknown[] = [];
    for await (const task of run.collect(soon)) values.push(task.ok && task.value);
    expect(values).toEqual(Array.from({ length: steps }, (_, n) => n + 1));
  });

  test('goes on from the step that has failed', { timeout: PATIENCE_MS }, async () => {
    const steps = Math.min(LENGTH, 3000);
    const app = engine.app();
    const { long, ran, fails } = counter(app, steps);
    fails.at = 5;
    await app.worker().start();
    const run = await long.delay(0);
    await expect(run.get(soon)).rejects.toThrow('broken');
    fails.at = -1;
    await run.resume();
    expect(await run.get(soon)).toBe(steps);
    expect(ran).toHaveLength(steps + 1);
  });

  test('that is stored in part waits for the rest, which the same call adds', async () => {
    const cut = { after: Number.POSITIVE_INFINITY };
    const connection = cutOff(cut, engine);
    const app = engine.app({ connection });
    const { long, ran } = counter(app, 300);
    const send = () => long.applyAsync(0, { idempotencyKey: 'once' });
    await app.worker().start();
    cut.after = 3;
    await expect(send()).rejects.toThrow('cut off');
    expect(await app.queue('default').counts()).toMatchObject({ 'waiting-children': 149, waiting: 0 });
    const store = openStore(app.name, connection);
    const addedBefore = Date.now() - 60_000;
    expect(await repairQueue(store, 'default', 0, 500, { addedBefore })).toMatchObject({
      counts: { started: 0 },
      listed: 149,
    });
    cut.after = Number.POSITIVE_INFINITY;
    const run = await send();
    expect(await run.get(soon)).toBe(300);
    expect(await (await send()).get(soon)).toBe(300);
    expect(ran).toHaveLength(300);
    await store.close();
  });

  test('that is never stored whole fails once it is repaired', async () => {
    const cut = { after: 3 };
    const connection = cutOff(cut, engine);
    const app = engine.app({ connection });
    const { long, ran } = counter(app, 300);
    await app.worker().start();
    await expect(long.applyAsync(0, { idempotencyKey: 'once' })).rejects.toThrow('cut off');
    cut.after = Number.POSITIVE_INFINITY;
    expect(await app.repair()).toMatchObject({ started: 1 });
    const run = await long.applyAsync(0, { idempotencyKey: 'once' });
    await expect(run.get(soon)).rejects.toMatchObject({ cause: { code: 'LOST_JOB' } });
    expect(ran).toEqual([]);
  });
});

const upTo = (length: number) => Array.from({ length }, (_, index) => index);

test('compositions in a long chain are planned, drawn, sent and counted', {
  timeout: PATIENCE_MS,
}, async () => {
  const length = sized(300, 1000);
  const app = createApp({
    name: 'long',
    connection: memory(),
    logger: { info() {}, warn() {}, error() {} },
    sendTimeout: '60s',
  });
  const echo = app.task({ name: 'echo', input: z.any(), run: (value) => value });
  const listed = app.task({ name: 'listed', input: z.any(), run: () => [1, 2] });
  const shapes = {
    groups: [group([echo, echo])],
    settled: [group.settled([echo, echo])],
    any: [group.any([echo, echo])],
    fallbacks: [fallback(echo, echo)],
    conditions: [when({ a: 1 }, echo, echo)],
    branches: [match('a', { one: echo, two: echo })],
    maps: [listed, map(echo)],
    flat: [flat(group([listed, listed]))],
    linked: [echo.s().link(echo)],
  };
  for (const [name, steps] of Object.entries(shapes)) {
    const long = chain.of(upTo(length).map((index) => steps[index % steps.length] as typeof echo));
    expect(long.graph().nodes.length, name).toBeGreaterThanOrEqual(length);
    const run = await long.delay({ a: 1 });
    const { total } = await run.counts();
    expect(total, name).toBeGreaterThanOrEqual(length / 2); // what a map adds is not known yet
  }
  await app.close();
});

test('chains that grow in a loop are flat, and other compositions are nested up to a limit', {
  timeout: PATIENCE_MS,
}, async () => {
  const app = createApp({
    name: 'nested',
    connection: memory(),
    logger: { info() {}, warn() {}, error() {} },
  });
  const echo = app.task({ name: 'echo', input: z.any(), run: (value) => value });
  const [before, after] = [upTo(3000), upTo(3000)].map((indexes, isAfter) =>
    indexes.reduce<unknown>(
      (all) => (isAfter ? chain(all as typeof echo, echo) : chain(echo, all as typeof echo)),
      echo,
    ),
  ) as ReturnType<typeof chain.of<unknown>>[];
  for (const long of [before, after]) {
    expect(long?.toJSON()).toHaveProperty('steps.length', 3001);
    expect(long?.graph().nodes).toHaveLength(3001);
  }
  const nested = (depth: number) =>
    upTo(depth).reduce<unknown>((inner) => group([inner as typeof echo]), echo) as typeof echo;
  expect(group([nested(499)]).graph().nodes).toHaveLength(1);
  const sent = await group([nested(499)]).delay(1);
  expect(await sent.counts()).toMatchObject({ total: 1 });
  expect(fromJSON(app as never, JSON.parse(JSON.stringify(nested(500))))).toBeDefined();
  expect(() => nested(501)).toThrow(CanvasError);
  expect(() => nested(501)).toThrow('nested at most 500 levels deep');
  await app.close();
});

/** A connection that refuses transactions after some. */
function cutOff(cut: { after: number }, engine: Engine): BackendFactory<IQueueBackend> {
  const { factory: own, options: connection } = resolveConnection(engine.newConnection());
  const factory: BackendFactory<IQueueBackend> = (queue, options, more) =>
    own(queue, { ...options, connection }, more);
  return (queue, options, more) => {
    const backend = factory(queue, options, more);
    const addFlow = backend.addFlow.bind(backend);
    backend.addFlow = async (entries) => {
      cut.after -= 1;
      if (cut.after < 0) throw new Error('cut off');
      return addFlow(entries);
    };
    return backend;
  };
}
