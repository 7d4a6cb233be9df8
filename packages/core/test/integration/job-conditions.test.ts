/** Jobs that wait for a retry, that are late, and that are stuck: lists, counts and reasons. */
import { InvalidOptionError } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { onEveryEngine } from '../../../../test/engines.js';

onEveryEngine('conditions of jobs', (engine) => {
  test('are listed, counted and explained', async () => {
    const app = engine.app();
    const mail = app.task({ name: 'mail', queue: 'mail', run: async () => null });
    const held = app.task({ name: 'held', queue: 'held', run: async () => null });
    const flaky = app.task({
      name: 'flaky',
      retry: { attempts: 2, delay: '1h' },
      run: async (): Promise<null> => {
        throw new Error('no');
      },
    });
    await app.worker({ queues: ['default'] }).start();
    const first = await mail.delay();
    const second = await mail.delay();
    const later = await mail.applyAsync(undefined, { countdown: '1h' });
    const retried = await flaky.delay();
    await vi.waitFor(async () => expect(await retried.state()).toBe('delayed'), 20_000);
    // A program takes a job, and hangs: nobody renews the lock.
    const stuck = await held.delay();
    const hand = engine.bareWorker('held', { lockDuration: 1 });
    await hand.waitUntilReady();
    expect((await hand.getNextJob('nobody'))?.id).toBe(stuck.id);

    const found = async (query: Parameters<typeof app.jobs.list>[0]) =>
      (await app.jobs.list(query)).items.map(({ id }) => id);
    await vi.waitFor(async () => expect(await found({ condition: 'stuck' })).toEqual([stuck.id]), 20_000);
    const late = { condition: 'late', lateAfter: '1ms' } as const;
    expect(await found(late)).toEqual([first.id, second.id]);
    expect(await found({ ...late, lateAfter: '1h' })).toEqual([]);
    expect(await found({ ...late, state: 'delayed' })).toEqual([]);
    expect(await found({ condition: 'retrying' })).toEqual([retried.id]);
    expect(await found({ condition: 'retrying', queue: 'mail' })).toEqual([]);
    const { items, cursor } = await app.jobs.list({ ...late, limit: 1 });
    expect(items).toMatchObject([{ id: first.id, conditions: ['late'] }]);
    expect(await found({ ...late, cursor })).toEqual([second.id]);

    expect(await app.jobs.conditions({ lateAfter: '1ms' })).toEqual({
      retrying: { count: 1, isComplete: true },
      late: { count: 2, isComplete: true },
      stuck: { count: 1, isComplete: true },
    });
    expect(await app.jobs.get(stuck.id)).toMatchObject({ conditions: ['stuck'] });
    expect(await app.jobs.get(later.id)).not.toHaveProperty('conditions');
    expect(await app.jobs.waitReason(stuck.id)).toEqual({
      kind: 'stuck',
      text: 'It is active but stuck. No worker holds its lock: its worker has ended, or hangs.',
    });
    await expect(app.jobs.list({ condition: 'slow' as 'late' })).rejects.toThrow(InvalidOptionError);
    await expect(app.jobs.conditions({ lateAfter: 'soon' as '1s' })).rejects.toThrow(InvalidOptionError);
    await hand.close();
  });
});
