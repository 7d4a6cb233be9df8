import { chain, loop, sleep } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { testApp } from '@umbel/testing/vitest';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

const START = new Date('2030-01-01T00:00:00Z').getTime();
const HOUR_MS = 3_600_000;

function shop() {
  const app = createApp({ name: 'waits', connection: 'redis://127.0.0.1:1' });
  /** The clock of the test, in handlers. */
  const clock = { now: () => Number.NaN };
  const stamp = app.task({
    name: 'stamp',
    input: z.unknown(),
    run: async (passed) => ({ passed, at: clock.now() }),
  });
  const due = app.task({
    name: 'due',
    input: z.object({ dueAt: z.string() }),
    run: async (order) => order,
  });
  const asked: number[] = [];
  /** A service that is ready at its third answer. */
  const ask = app.task({
    name: 'ask',
    input: z.object({ id: z.string() }),
    run: async ({ id }) => {
      asked.push(clock.now());
      return { id, status: asked.length < 3 ? 'running' : 'ready' };
    },
  });
  const start = async () => {
    const t = await testApp(app);
    clock.now = () => t.now.getTime();
    return t;
  };
  return { start, stamp, due, ask, asked };
}

describe('virtual time passes', () => {
  test('for a sleep of three days, exactly', async () => {
    const { start, stamp } = shop();
    const t = await start();
    const { at } = await t.run(chain(sleep<number>('3d'), stamp), 1);
    expect(at).toBe(START + 72 * HOUR_MS);
  });

  test('for a sleep until a moment that the value holds', async () => {
    const { start, stamp, due } = shop();
    const t = await start();
    const dueAt = '2031-06-01T12:00:00Z';
    const { at, passed } = await t.run(chain(due, sleep.until('dueAt'), stamp), { dueAt });
    expect(new Date(at)).toEqual(new Date(dueAt));
    expect(passed).toEqual({ dueAt });
  });

  test('only as far as the test advances it, and a wake ends a sleep', async () => {
    const { start, stamp } = shop();
    const t = await start();
    const run = await t.start(chain(sleep<number>('3d'), stamp), 1);
    await t.advance('2d');
    expect(await run.state()).not.toBe('completed');
    expect(await run.wake()).toBe(1);
    expect((await run.get()).at).toBe(START + 48 * HOUR_MS);
  });

  test('between the turns of a loop that polls a service', async () => {
    const { start, ask, asked } = shop();
    const t = await start();
    const ready = loop(ask, { until: { status: 'ready' }, max: 24, every: '1h' });
    expect(await t.run(ready, { id: 'a' })).toEqual({
      value: { id: 'a', status: 'ready' },
      stopped: 'done',
    });
    expect(asked).toEqual([START, START + HOUR_MS, START + 2 * HOUR_MS]);
  });

  test('until the last turn of a loop, and not after it', async () => {
    const { start, ask, asked } = shop();
    const t = await start();
    const never = loop(ask, { until: { status: 'broken' }, max: 5, every: '1h' });
    expect(await t.run(never, { id: 'a' })).toMatchObject({ stopped: 'max' });
    expect(asked).toHaveLength(5);
    expect(t.now).toEqual(new Date(START + 4 * HOUR_MS));
  });
});
