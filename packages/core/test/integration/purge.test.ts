import { chain, group } from '@umbel/canvas';
import { InvalidOptionError, UnknownJobError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

onEveryEngine('a purge', (engine) => {
  test('removes what waits in a queue, in any order of priority, and nothing else', async () => {
    const app = engine.app();
    const mail = app.task({ name: 'mail', queue: 'mail', input: z.number(), run: (n) => n });
    const other = app.task({ name: 'other', input: z.number(), run: (n) => n });
    const numbers = Array.from({ length: 120 }, (_, index) => index);
    const sent = await mail.sendMany(numbers);
    await mail.applyAsync(1, { priority: 3 });
    const later = await mail.applyAsync(2, { countdown: '1h' });
    const kept = await other.delay(3);
    await engine.bareQueue('mail').add('foreign', { n: 1 });

    expect(await app.queue('mail').purge()).toEqual({ removed: 122, revokedRuns: 0 });
    expect(await app.queue('mail').counts()).toMatchObject({ waiting: 0, delayed: 1 });
    expect(await later.state()).toBe('delayed');
    expect(await app.queue('mail').purge({ delayed: true })).toEqual({ removed: 1, revokedRuns: 0 });
    expect(await app.queue('mail').counts()).toMatchObject({ waiting: 0, delayed: 0 });
    await expect(sent[0]?.get(soon)).rejects.toThrow(UnknownJobError);
    await app.worker().start();
    expect(await kept.get(soon)).toBe(3);
  });

  test('revokes the runs whose steps it meets, so that none of them waits for ever', async () => {
    const app = engine.app();
    const ran: string[] = [];
    const mail = app.task({
      name: 'mail',
      queue: 'mail',
      input: z.object({ n: z.number() }),
      run: ({ n }) => {
        ran.push(`mail ${n}`);
        return n;
      },
    });
    const after = app.task({
      name: 'after',
      input: z.array(z.number()),
      run: (all) => {
        ran.push('after');
        return all.length;
      },
    });
    const alone = await mail.delay({ n: 0 });
    const run = await chain(group([1, 2, 3].map((n) => mail.s({ n }))), after).delay();
    const second = await mail.delay({ n: 4 });

    expect(await app.queue('mail').purge()).toEqual({ removed: 2, revokedRuns: 1 });
    expect(await app.queue('mail').counts()).toMatchObject({ waiting: 3 });
    await app.worker().start();
    expect(await run.outcome(soon)).toMatchObject({ ok: false, error: { state: 'revoked' } });
    expect(ran).toEqual([]);
    for (const gone of [alone, second]) await expect(gone.state()).resolves.toBe('unknown');
    // What was revoked can be taken up again.
    expect(await run.resume()).toBeGreaterThan(0);
    expect(await run.get(soon)).toBe(3);
  });

  test('leaves what runs', async () => {
    const app = engine.app();
    let letGo = () => {};
    const gone = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    let started = () => {};
    const isStarted = new Promise<void>((resolve) => {
      started = resolve;
    });
    const slow = app.task({
      name: 'slow',
      run: async () => {
        started();
        await gone;
        return 'done';
      },
    });
    await app.worker({ concurrency: 1 }).start();
    const running = await slow.delay();
    await isStarted;
    await slow.delay();
    expect(await app.queue('default').purge()).toEqual({ removed: 1, revokedRuns: 0 });
    letGo();
    expect(await running.get(soon)).toBe('done');
  });

  test("is refused for Umbel's own queue, and for what is no option", async () => {
    const app = engine.app();
    await expect(app.queue('umbel').purge()).rejects.toThrow(InvalidOptionError);
    await expect(app.queue('default').purge({ delayed: 'yes' as never })).rejects.toThrow('delayed');
  });
});
