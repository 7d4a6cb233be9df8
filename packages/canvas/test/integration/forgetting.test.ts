/** Runs are forgotten with all that they have stored, however long, wide or unfinished. */
import { once } from 'node:events';
import { chain, chord, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import type { BackendFactory, IQueueBackend } from 'bullmq';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, memory, onEveryEngine } from '../../../../test/engines.js';
import { toolbox } from '../support/toolbox.js';

const soon = { timeout: '60s' } as const;
const times = <Item>(count: number, item: Item) => Array.from({ length: count }, () => item);

/** Jobs that queues hold in any state. */
async function held(engine: Engine, ...queues: string[]): Promise<number> {
  let sum = 0;
  for (const queue of queues) {
    const counts = await engine
      .bareQueue(queue)
      .getJobCounts('wait', 'active', 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed');
    sum += Object.values(counts).reduce((all, count) => all + count, 0);
  }
  return sum;
}

onEveryEngine('what is forgotten', (engine) => {
  test('leaves nothing of a long chain, a wide group, or both in each other', {
    timeout: 60_000,
  }, async () => {
    const app = engine.app();
    const { echo, double, sum } = toolbox(app);
    await app.worker().start();
    const kept = await echo.delay('kept');
    const runs = [
      await chain.of(times(1500, echo)).delay(0),
      await group(times(800, double)).delay(1),
      await chord(times(120, chain(double, double, double)), sum).delay(1),
      await chain(group(times(70, group(times(3, double)))), echo).delay(1),
    ];
    for (const run of runs) await run.get(soon);
    await kept.get(soon);
    for (const run of runs) await run.forget();
    expect(await held(engine, 'default')).toBe(1);
    await vi.waitFor(async () => expect(await held(engine, 'umbel')).toBe(0), { timeout: 10_000 });
    for (const run of runs) expect(await run.state()).toBe('unknown');
    expect(await kept.state()).toBe('completed');
  });

  test('takes what still waits along, and leaves what runs to its end', { timeout: 60_000 }, async () => {
    const app = engine.app();
    const { hold, signals, echo } = toolbox(app);
    const unserved = app.task({
      name: 'unserved',
      queue: 'unserved',
      input: z.unknown(),
      run: async () => null,
    });
    const broken = app.task({
      name: 'broken',
      input: z.unknown(),
      run: async () => {
        await isHeld;
        throw new Error('broken');
      },
    });
    const isHeld = once(signals, 'held');
    await app.worker({ queues: ['default'] }).start();
    const run = await group([broken, hold, ...times(40, unserved), chain(unserved, unserved)]).delay(1);
    await expect(run.get(soon)).rejects.toThrow('broken');
    expect(await held(engine, 'unserved')).toBe(42);
    await run.forget();
    expect(await held(engine, 'unserved')).toBe(0);
    expect(await held(engine, 'default')).toBe(1);
    signals.emit('release');
    const after = await echo.delay('after');
    expect(await after.get(soon)).toBe('after');
    await vi.waitFor(async () => expect(await held(engine, 'default', 'umbel')).toBe(2), { timeout: 10_000 });
    expect(await app.queue('default').counts()).toMatchObject({ active: 0, waiting: 0, completed: 2 });
  });

  test('takes members along that a group has let go', { timeout: 60_000 }, async () => {
    const app = engine.app();
    const { double } = toolbox(app);
    const unserved = app.task({
      name: 'unserved',
      queue: 'unserved',
      input: z.unknown(),
      run: async () => 1,
    });
    await app.worker({ queues: ['default'] }).start();
    const run = await group.any([double, ...times(20, unserved)]).delay(1);
    expect(await run.get(soon)).toBe(2);
    await run.forget();
    expect(await held(engine, 'default', 'unserved', 'umbel')).toBe(0);
  });
});

test('a run is forgotten by some commands for every hundred of its jobs', { timeout: 60_000 }, async () => {
  const commands = new Map<string, number>();
  const plain = memory();
  const counted = (backend: IQueueBackend): IQueueBackend =>
    new Proxy(backend, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          commands.set(String(name), (commands.get(String(name)) ?? 0) + 1);
          const answer: unknown = Reflect.apply(value, target, args);
          return name === 'forQueue' ? counted(answer as IQueueBackend) : answer;
        };
      },
    });
  const connection = ((...args: Parameters<BackendFactory>) => counted(plain(...args))) as BackendFactory;
  const app = createApp({
    name: 'forgetting',
    connection: connection as never,
    logger: { info() {}, warn() {}, error() {} },
  });
  const { echo, double } = toolbox(app);
  const worker = await app.worker().start();
  const runs = [await chain.of(times(2000, echo)).delay(0), await group(times(2000, double)).delay(1)];
  for (const run of runs) await run.get(soon);
  await worker.close();
  for (const run of runs) {
    commands.clear();
    await run.forget();
    const asked = ['removeTrees', 'childKeys', 'remove', 'getState', 'getDependencies'].map(
      (name) => commands.get(name) ?? 0,
    );
    expect(asked.reduce((sum, count) => sum + count)).toBeLessThan(80);
  }
  await app.close();
});
