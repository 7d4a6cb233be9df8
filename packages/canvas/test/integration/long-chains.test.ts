/** Chains that are longer than a stack is deep. */
import { chain } from '@umbel/canvas';
import type { App } from '@umbel/core';
import { type BackendFactory, createRedisBackend, type IQueueBackend } from 'bullmq';
import { expect, inject, test } from 'vitest';
import { z } from 'zod';
import { memory, onEveryEngine } from '../../../../test/engines.js';
import { sized } from '../../../../test/support/length.js';
import { repairQueue } from '../../../core/src/bullmq/repair.js';
import { openStore } from '../../../core/test/support/open-store.js';

const soon = { timeout: '4m' } as const;
const PATIENCE_MS = 300_000;
/** A chain that runs: each step costs the engines half a millisecond or more. */
const LENGTH = sized(1000, 10_000);

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
    const steps = sized(3000, 10_000);
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
    const connection = cutOff(cut, engine.name);
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
    const connection = cutOff(cut, engine.name);
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

/** A connection that refuses transactions after some. */
function cutOff(cut: { after: number }, engine: 'memory' | 'redis'): BackendFactory<IQueueBackend> {
  const factory: BackendFactory<IQueueBackend> =
    engine === 'memory'
      ? memory()
      : (queue, options, more) =>
          createRedisBackend(queue, { ...options, connection: { url: inject('redisUrl') } }, more);
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
