/** Signals with many listeners: none of them warns, and none is left behind. */
import { getEventListeners, once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { group } from '@umbel/canvas';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const seen: string[] = [];
const note = ({ name, message }: Error) => seen.push(`${name}: ${message}`);

beforeEach(() => void process.on('warning', note));

afterEach(async () => {
  // Warnings are printed in a later turn; before this one all earlier ones have been.
  const printed = once(process, 'warning');
  process.emitWarning('the end of the test');
  await printed;
  process.off('warning', note);
  expect(seen.splice(0)).toEqual(['Warning: the end of the test']);
});

onEveryEngine('many listeners on one signal', (engine) => {
  test('of a handler that sleeps and hands its signal on', async () => {
    const app = engine.app();
    let left = -1;
    const patient = app.task({
      name: 'patient',
      run: async (_, ctx) => {
        const own = Array.from({ length: 20 }, () => ctx.sleep(1));
        const others = Array.from({ length: 20 }, () => pause(1, undefined, { signal: ctx.signal }));
        await Promise.all([...own, ...others]);
        left = getEventListeners(ctx.signal, 'abort').length;
        return 'done';
      },
    });
    await app.worker().start();
    expect(await (await patient.delay()).get()).toBe('done');
    expect(left).toBe(0);
  });

  test('of a handler whose sleeps are all ended by its timeout', async () => {
    const app = engine.app();
    const reasons: string[] = [];
    const patient = app.task({
      name: 'patient',
      timeout: 100,
      run: async (_, ctx) => {
        const sleeps = Array.from({ length: 20 }, () =>
          ctx.sleep('1h').catch(({ name }) => reasons.push(name)),
        );
        await Promise.all(sleeps);
      },
    });
    await app.worker().start();
    expect(await (await patient.delay()).outcome()).toMatchObject({ ok: false });
    expect(reasons).toEqual(Array.from({ length: 20 }, () => 'TimeLimitError'));
  });

  test('of callers who wait with one signal in every way', async () => {
    const app = engine.app();
    const echo = app.task({ name: 'echo', input: z.object({ n: z.number() }), run: ({ n }) => n });
    await app.worker().start();
    const { signal } = new AbortController();
    const results = await echo.sendMany(Array.from({ length: 20 }, (_, n) => ({ n })));
    expect(await Promise.all(results.map((result) => result.get({ signal })))).toHaveLength(20);
    const run = await group([echo.s({ n: 1 }), echo.s({ n: 2 })]).delay();
    const all = async (items: AsyncIterable<unknown>) => {
      for await (const _ of items);
    };
    const ways = () => [
      all(run.members({ signal })),
      all(run.progress({ signal })),
      all(run.collect({ signal })),
      run.outcome({ signal }),
    ];
    await Promise.all(Array.from({ length: 5 }, ways).flat());
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('of callers who give up together', async () => {
    const app = engine.app();
    const echo = app.task({ name: 'echo', input: z.object({ n: z.number() }), run: ({ n }) => n });
    const results = await echo.sendMany(Array.from({ length: 20 }, (_, n) => ({ n })));
    const controller = new AbortController();
    const { signal } = controller;
    const events = Array.from({ length: 12 }, () => app.events({ signal }).next());
    const waits = results.map((result) => result.get({ signal }));
    controller.abort(new Error('enough'));
    for (const wait of await Promise.allSettled(waits))
      expect(wait).toMatchObject({ status: 'rejected', reason: { message: 'enough' } });
    for (const { done } of await Promise.all(events)) expect(done).toBe(true);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});
