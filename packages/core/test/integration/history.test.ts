/** `app.history`: what workers counted outlives them, in a ring of a bounded size. */
import { InvalidOptionError, UnrecoverableError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { addHistory } from '../../src/store/history.js';
import { type HistoryPrimitives, historyPrimitivesOf } from '../../src/store/primitives/history.js';
import { openStore } from '../support/open-store.js';

const soon = { timeout: '50s' } as const;

onEveryEngine('the history', (engine) => {
  test('adds what several workers have counted, by task and minute', async () => {
    const app = engine.app({ queues: ['mails'] });
    const pay = app.task({
      name: 'pay',
      input: z.number(),
      retry: { attempts: 2, delay: 1 },
      run: async (cents) => {
        if (cents < 0) throw new UnrecoverableError('no');
        if (cents === 0) throw new Error('not yet');
        return cents;
      },
    });
    const mail = app.task({ name: 'mail', queue: 'mails', run: async () => null });
    expect(await app.history.read()).toMatchObject({ isKept: true, total: { completed: 0, runMs: null } });
    const workers = [app.worker({ queues: ['default'] }), app.worker({ queues: ['mails', 'default'] })];
    for (const worker of workers) await worker.start();
    for (const result of await pay.sendMany([1, 2, -1, 0])) await result.outcome(soon);
    for (const result of await Promise.all([mail.delay(), mail.delay()])) await result.outcome(soon);
    for (const worker of workers) await worker.close();

    const all = await app.history.read();
    expect(all.stepMs).toBe(60_000);
    expect(all.points).toHaveLength(180);
    expect(all.total).toMatchObject({ completed: 4, failed: 2, retried: 1 });
    const sum = (points: typeof all.points) => points.reduce((total, { completed }) => total + completed, 0);
    expect(sum(all.points)).toBe(4);
    expect(sum(all.points.slice(-3))).toBe(4);
    const ofPay = await app.history.read({ task: 'pay' });
    expect(ofPay.total).toMatchObject({ completed: 2, failed: 2, retried: 1 });
    expect(ofPay.total.runMs?.p50).toBeGreaterThanOrEqual(0);
    expect(ofPay.total.waitMs?.p99).toBeGreaterThanOrEqual(ofPay.total.waitMs?.p50 ?? Infinity);
    expect((await app.history.read({ task: 'other' })).total.completed).toBe(0);
    expect(await app.history.tasks()).toMatchObject([
      { task: 'pay', completed: 2, failed: 2 },
      { task: 'mail', completed: 2, failed: 0 },
    ]);

    const day = await app.history.read({ since: new Date(Date.now() - 86_400_000) });
    expect(day).toMatchObject({ stepMs: 900_000, total: { completed: 4 } });
    expect(day.points).toHaveLength(97);
    // A range that begins more than three hours ago is read in whole quarters of an hour.
    const before = await app.history.read({ until: new Date(Date.now() - 1_800_000) });
    expect(before.total.completed).toBe(0);
    const long = await app.history.read({ since: new Date(0) });
    expect(long.points).toHaveLength(672);
    for (const query of [{ since: new Date(Date.now() + 60_000) }, { task: 'a b' }, { last: '1h' }])
      await expect(app.history.read(query as object)).rejects.toThrow(InvalidOptionError);
  });

  test('keeps at most 100 tasks in a step, and adds the others together', async () => {
    const connection = engine.newConnection();
    const app = engine.app({ connection });
    const store = openStore(app.name, connection);
    const tasks = Array.from({ length: 130 }, (_, n) => `task-${n}`);
    for (let times = 0; times < 2; times += 1)
      await addHistory(store, new Map(tasks.map((task) => [task, new Map([['c', 1]])])), Date.now());
    const found = await app.history.tasks();
    expect(found).toHaveLength(101);
    expect(found[0]).toMatchObject({ task: '(other)', completed: 60 });
    expect(found[1]?.completed).toBe(2);
    expect((await app.history.read()).total.completed).toBe(260);
  });

  test('loses nothing that workers write at the same moment', async () => {
    const connection = engine.newConnection();
    const app = engine.app({ connection });
    const stores = Array.from({ length: 6 }, () => openStore(app.name, connection));
    const tasks = Array.from({ length: 120 }, (_, n) => `task-${n}`);
    const counts = new Map([
      ['c', 2],
      ['r7', 2],
    ]);
    await Promise.all(stores.map((store) => addHistory(store, new Map(), Date.now()))); // connects
    await Promise.all(
      stores.map((store, at) => {
        const order = at % 2 === 0 ? tasks : tasks.toReversed();
        return addHistory(store, new Map(order.map((task) => [task, counts])), Date.now());
      }),
    );
    expect((await app.history.read()).total).toMatchObject({ completed: 6 * 2 * 120, failed: 0 });
    const found = await app.history.tasks();
    expect(found).toHaveLength(101);
    expect(found.reduce((sum, { completed }) => sum + completed, 0)).toBe(6 * 2 * 120);
  });

  test('removes what has expired', async () => {
    engine.app();
    const history = historyPrimitivesOf(engine.bareQueue('umbel.history').getBackend()) as HistoryPrimitives;
    const add = (slot: string, keptMs: number) =>
      history.addHistory([{ slot, keptMs, task: 'pay', counts: 'c:1 r3:2' }], 100, '(other)');
    await add('m1', 1);
    await add('m2', 600_000);
    await expect
      .poll(async () => {
        await add('m3', 600_000);
        return history.readHistory(['m1'], 'pay');
      })
      .toEqual(['']);
    expect((await history.readHistory(['m2'], 'pay'))[0]?.split(' ').toSorted()).toEqual(['c:1', 'r3:2']);
    expect(await history.readHistory(['m2', 'm0'], 'mail')).toEqual(['', '']);
    expect((await history.readHistoryTasks(['m1', 'm2'])).map(([task]) => task)).toEqual(['pay']);
  });
});
