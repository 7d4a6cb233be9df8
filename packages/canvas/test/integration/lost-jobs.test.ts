/** Jobs that somebody has removed from the store: what waits for them ends, and says what is gone. */
import { chain, chord, fallback, group } from '@umbel/canvas';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { toolbox } from '../support/toolbox.js';

const soon = { timeout: '50s' } as const;

function start(engine: Engine) {
  const app = engine.app();
  const tools = toolbox(app);
  const notes: unknown[] = [];
  const note = app.task({
    name: 'note',
    input: z.unknown(),
    run: async (value) => {
      notes.push(value);
    },
  });
  const work = () => app.worker().start();
  const remove = (id: string, queue = 'default', removeChildren = true) =>
    engine.bareQueue(queue).remove(id, { removeChildren });
  return { app, note, notes, work, remove, ...tools };
}

onEveryEngine('a job that is removed by hand', (engine) => {
  test.each([
    ['with the jobs before it', true],
    ['without them', false],
  ])('while it waits for others, %s, ends the run', async (_, removesChildren) => {
    const { work, remove, double, runs } = start(engine);
    const run = await chain(double, double, double, double).delay(1);
    await remove(`${run.id}.0-2`, 'default', removesChildren);
    await work();
    await expect(run.get(soon)).rejects.toMatchObject({
      state: 'failed',
      jobId: `${run.id}.0-2`,
      cause: { name: 'LostJobError' },
    });
    await vi.waitFor(() => expect(runs).toHaveLength(removesChildren ? 0 : 2));
  });

  test('ends the run if it would have added others', async () => {
    const { app, work, remove, double, sum, runs } = start(engine);
    const late = double.set({ countdown: '1h' });
    const run = await chain(late, group([double, double]), sum).delay(1);
    await remove(`${run.id}.0-1-fan`, 'umbel');
    await work();
    await expect(run.get(soon)).rejects.toMatchObject({ cause: { name: 'LostJobError' } });
    expect(await app.result(`${run.id}.0`).state()).toBe('failed');
    expect(runs).toEqual([]);
  });

  test('is an outcome like others among settled members', async () => {
    const { work, remove, double, echo } = start(engine);
    const late = double.set({ countdown: '1h' });
    const run = await chord(group.settled([double, late, double]), echo).delay(1);
    await remove(`${run.id}.0-0.1`);
    await work();
    expect(await run.get(soon)).toMatchObject([
      { ok: true, value: 2 },
      { ok: false, error: { jobId: `${run.id}.0-0.1`, error: { name: 'LostJobError' } } },
      { ok: true, value: 2 },
    ]);
  });

  test('does not keep others from being the first', async () => {
    const { work, remove, double } = start(engine);
    const late = double.set({ countdown: '1h' });
    const run = await group.any([late, chain(double, double)]).delay(1);
    await remove(`${run.id}.0.0`);
    await work();
    expect(await run.get(soon)).toBe(4);
    const both = await group.atLeast(2, [late, double]).delay(1);
    await remove(`${both.id}.0.0`);
    await expect(both.get(soon)).rejects.toMatchObject({ cause: { name: 'LostJobError' } });
  });

  test('is a failure that a fallback and callbacks are told of', async () => {
    const { work, remove, double, note, notes, echo } = start(engine);
    const late = double.set({ countdown: '1h' });
    const saved = await chain(double, fallback(late, echo)).delay(1);
    await remove(`${saved.id}.0^`, 'default', false);
    await work();
    expect(await saved.get(soon)).toMatchObject({ error: { name: 'LostJobError' } });
    const failing = await chain(double, late.linkError(note).finally(note)).delay(1);
    await remove(`${failing.id}.0^`, 'default', false);
    await expect(failing.get(soon)).rejects.toMatchObject({ cause: { name: 'LostJobError' } });
    await vi.waitFor(() => expect(notes).toHaveLength(2));
  });

  test('after a large group has ended is told by get', async () => {
    const { work, remove, double } = start(engine);
    const run = await group(Array.from({ length: 120 }, () => double)).delay(1);
    await work();
    expect(await run.get(soon)).toHaveLength(120);
    await remove(`${run.id}.0/1`, 'umbel', false);
    await expect(run.get(soon)).rejects.toMatchObject({ cause: { name: 'LostJobError' } });
  });

  test('with the outcomes of settled members makes no failures of them', async () => {
    const { work, remove, double, hold, echo, signals } = start(engine);
    const members = [...Array.from({ length: 120 }, () => double), hold];
    const runs = [
      await group.settled(members).delay(1),
      await chord(group.settled(members), echo).delay(1),
      await chord(group.atLeast(2, [double, hold]), echo).delay(1),
    ] as const;
    let held = 0;
    signals.on('held', () => {
      held += 1;
    });
    await work();
    await vi.waitFor(() => expect(held).toBe(3), { timeout: 10_000 });
    await vi.waitFor(async () => expect(await runs[0].counts()).toMatchObject({ completed: 120 }));
    await vi.waitFor(async () => expect(await runs[1].counts()).toMatchObject({ completed: 120 }));
    await vi.waitFor(async () => expect(await runs[2].counts()).toMatchObject({ completed: 1 }));
    await remove(`${runs[0].id}.0/1`, 'umbel', false);
    await remove(`${runs[1].id}.0-0/1`, 'umbel', false);
    await remove(`${runs[2].id}.0-0.0!`, 'umbel', false);
    signals.emit('release');
    for (const run of runs) {
      await expect(run.get(soon)).rejects.toMatchObject({ cause: { name: 'LostJobError' } });
    }
  });
});
