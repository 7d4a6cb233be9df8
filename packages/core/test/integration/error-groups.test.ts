/** Groups of failed jobs by their errors, and what is done with a whole group. */
import { InvalidOptionError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

function refuse(message: string): never {
  throw new RangeError(message);
}

onEveryEngine('error groups', (engine) => {
  test('have the same error and place, and are counted, listed and replayed as one', async () => {
    const app = engine.app({ queues: ['mails'] });
    let isBroken = true;
    const pay = app.task({
      name: 'pay',
      input: z.object({ order: z.string() }),
      run: async ({ order }) => {
        if (isBroken) refuse(`order ${order} costs 0 cents`);
        return order;
      },
    });
    const refund = app.task({ name: 'refund', run: async (): Promise<null> => refuse('no order 17') });
    const mail = app.task({
      name: 'mail',
      queue: 'mails',
      input: z.number(),
      run: async (n): Promise<null> => {
        throw Object.assign(new RangeError(`no mail ${n}`), { code: 'E_MAIL' });
      },
    });
    await app.worker().start();
    const orders = ['7', '0f8fad5b-d9cb-469f-a165-70867728950e', '12345'];
    const paid = await pay.sendMany(orders.map((order) => ({ order })));
    for (const result of paid) await result.outcome(soon);
    await (await refund.delay()).outcome(soon);
    for (const result of await mail.sendMany([1, 2])) await result.outcome(soon);

    const { groups, read, cursor } = await app.deadLetters.groups();
    expect({ read, cursor }).toEqual({ read: 6, cursor: undefined });
    expect(groups.map(({ name, code, count, tasks }) => ({ name, code, count, tasks }))).toEqual([
      { name: 'RangeError', code: 'E_MAIL', count: 2, tasks: ['mail'] },
      { name: 'RangeError', code: undefined, count: 4, tasks: ['refund', 'pay'] },
    ]);
    const [mails, orderErrors] = groups;
    expect(mails?.message).toBe('no mail #');
    expect(orderErrors?.message).toBe('no order #');
    expect(orderErrors?.frame).toMatch(/^integration\/error-groups\.test\.ts:\d+$/);
    const times = (await app.deadLetters.list({ group: orderErrors?.id })).map(({ failedAt }) => failedAt);
    expect(orderErrors).toMatchObject({ firstAt: times.at(-1), lastAt: times[0] });
    const inMails = await app.deadLetters.groups({ queue: 'mails' });
    expect(inMails).toMatchObject({ read: 2, groups: [{ id: mails?.id, count: 2 }] });
    expect((await app.deadLetters.groups({ task: 'pay' })).groups).toMatchObject([
      { id: orderErrors?.id, count: 3, message: 'order # costs # cents' },
    ]);

    isBroken = false;
    const group = orderErrors?.id ?? '';
    expect(await app.deadLetters.replayMany({ group, task: 'pay' })).toMatchObject({ replayed: 3 });
    for (const result of paid) await result.get(soon);
    expect(await app.deadLetters.discardMany({ group })).toMatchObject({ discarded: 1 });
    expect((await app.deadLetters.groups()).groups.map(({ id }) => id)).toEqual([mails?.id]);
  });

  test('are read in bounded parts, and so are pages', async () => {
    const app = engine.app();
    const bad = app.task({
      name: 'bad',
      input: z.number(),
      run: async (n): Promise<null> => {
        if (n % 2 === 0) throw new TypeError('even');
        throw new SyntaxError('odd');
      },
    });
    await app.worker().start();
    for (const result of await bad.sendMany([0, 1, 2, 3, 4])) await result.outcome(soon);
    const counts = new Map<string, number>();
    let parts = 0;
    for (let cursor: string | undefined = ''; cursor !== undefined; parts += 1) {
      const part = await app.deadLetters.groups({ maxRead: 2, ...(cursor !== '' && { cursor }) });
      expect(part.read).toBeLessThanOrEqual(2);
      for (const { name, count } of part.groups) counts.set(name, (counts.get(name) ?? 0) + count);
      cursor = part.cursor;
    }
    expect({ parts, ...Object.fromEntries(counts) }).toEqual({ parts: 3, TypeError: 3, SyntaxError: 2 });

    const first = await app.deadLetters.page({ error: 'TypeError', limit: 2 });
    const second = await app.deadLetters.page({ error: 'TypeError', limit: 2, cursor: first.cursor });
    const listed = await app.deadLetters.list({ error: 'TypeError' });
    expect([...first.items, ...second.items]).toEqual(listed);
    expect(second.cursor).toBeUndefined();
    await expect(app.deadLetters.groups({ maxRead: 0 })).rejects.toThrow(InvalidOptionError);
    await expect(app.deadLetters.page({ offset: 1 } as object)).rejects.toThrow(InvalidOptionError);
  });
});
