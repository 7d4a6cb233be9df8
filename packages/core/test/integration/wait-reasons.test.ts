/** `app.jobs.waitReason`: why a job or a run has not ended. `app.mask`: values for tools that show them. */
import { chain, group, sleep, waitFor } from '@umbel/canvas';
import { UnknownJobError } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

onEveryEngine('wait reasons', (engine) => {
  test('name the queue that starts no job, and how many jobs are taken before', async () => {
    const app = engine.app();
    const mail = app.task({ name: 'mail', queue: 'mail', run: async () => null });
    const first = await mail.delay();
    expect(await app.jobs.waitReason(first.id)).toEqual({
      kind: 'unserved',
      text: 'It waits because no worker serves queue "mail".',
    });
    await app.queue('mail').pause();
    await app.worker({ queues: ['mail'], concurrency: 1 }).start();
    expect(await app.jobs.waitReason(first.id)).toMatchObject({ kind: 'paused' });
    const second = await mail.delay();
    await app.queue('mail').resume();
    for (const each of [first, second]) await each.get(soon);
    expect(await app.jobs.waitReason(first.id)).toBeUndefined();
    await expect(app.jobs.waitReason('missing')).rejects.toThrow(UnknownJobError);
  });

  test('tell a full worker, a concurrency limit and a rate limit apart', async () => {
    const app = engine.app();
    let open = (_: null): void => {};
    const gate = new Promise<null>((resolve) => {
      open = resolve;
    });
    const slow = app.task({ name: 'slow', queue: 'slow', run: () => gate });
    await app.worker({ queues: ['slow'], concurrency: 1 }).start();
    const jobs = [await slow.delay(), await slow.delay(), await slow.delay()];
    const [active, next, last] = jobs as [(typeof jobs)[0], (typeof jobs)[0], (typeof jobs)[0]];
    await vi.waitFor(async () => expect(await active.state()).toBe('active'));
    expect(await app.jobs.waitReason(active.id)).toBeUndefined();
    expect(await app.jobs.waitReason(next.id)).toMatchObject({ kind: 'queued', ahead: 0 });
    expect(await app.jobs.waitReason(last.id)).toEqual({
      kind: 'queued',
      ahead: 1,
      text: 'It waits behind one other job of queue "slow".',
    });
    const urgentLater = await slow.applyAsync(undefined, { priority: 5 });
    expect(await app.jobs.waitReason(urgentLater.id)).toMatchObject({ kind: 'queued', ahead: 2 });
    await app.queue('slow').setConcurrency(1);
    expect(await app.jobs.waitReason(last.id)).toMatchObject({ kind: 'concurrency' });
    open(null);
    for (const each of jobs) await each.get(soon);
    await urgentLater.get(soon);
    await app.queue('slow').setConcurrency(undefined);
    await app.queue('slow').setRateLimit('1/h');
    await (await slow.delay()).get(soon);
    const limited = await slow.delay();
    await vi.waitFor(async () =>
      expect(await app.jobs.waitReason(limited.id)).toMatchObject({ kind: 'rate-limit' }),
    );
    expect((await app.jobs.waitReason(limited.id))?.until?.getTime()).toBeGreaterThan(Date.now());
  });

  test('tell a delayed job from one that waits for a retry', async () => {
    const app = engine.app();
    const flaky = app.task({
      name: 'flaky',
      retry: { attempts: 3, delay: '1h' },
      run: async (): Promise<null> => {
        throw new Error('no');
      },
    });
    await app.worker().start();
    const later = await flaky.applyAsync(undefined, { countdown: '2h' });
    const reason = await app.jobs.waitReason(later.id);
    expect(reason).toMatchObject({ kind: 'delay', text: expect.stringContaining('sent for later') });
    expect(reason?.until?.getTime()).toBeGreaterThan(Date.now() + 3_600_000);
    const retrying = await flaky.delay();
    await vi.waitFor(async () =>
      expect(await app.jobs.waitReason(retrying.id)).toMatchObject({
        kind: 'retry',
        text: expect.stringMatching(/^It waits for a retry, attempt 2, at .* at the earliest\.$/),
      }),
    );
  });

  test('a delayed job and a retry can be made due, once', async () => {
    const app = engine.app();
    const flaky = app.task({
      name: 'flaky',
      retry: { attempts: 2, delay: '1h' },
      run: async (_, { attempt }) => {
        if (attempt === 1) throw new Error('no');
        return attempt;
      },
    });
    await app.worker().start();
    const job = await flaky.applyAsync(undefined, { countdown: '2h' });
    expect(await app.jobs.promote(job.id)).toBe(true);
    await vi.waitFor(async () => expect(await app.jobs.waitReason(job.id)).toMatchObject({ kind: 'retry' }));
    expect(await app.jobs.promote(job.id)).toBe(true);
    expect(await job.get(soon)).toBe(2);
    expect(await app.jobs.promote(job.id)).toBe(false);
    await expect(app.jobs.promote('missing')).rejects.toThrow(UnknownJobError);
  });

  test('name the jobs that a run and its later steps wait for, and why these wait', async () => {
    const app = engine.app();
    const add = app.task({
      name: 'add',
      queue: 'sums',
      input: z.object({ n: z.number() }),
      run: async ({ n }) => n,
    });
    const sum = app.task({
      name: 'sum',
      input: z.array(z.number()),
      run: async (all) => all.length,
    });
    await app.worker({ queues: ['default'] }).start();
    const run = await chain(group([add.s({ n: 1 }), add.s({ n: 2 })]), sum).delay();
    await vi.waitFor(async () => expect((await app.jobs.waitReason(run.id))?.jobs).toHaveLength(2));
    expect(await app.jobs.waitReason(run.id)).toMatchObject({
      kind: 'steps',
      text: 'It waits for 2 jobs. The first is task "add": it waits because no worker serves queue "sums".',
    });
    const alone = await chain(add.s({ n: 1 }), sum.si([])).delay();
    await vi.waitFor(async () => expect((await app.jobs.waitReason(alone.id))?.jobs).toHaveLength(1));
    expect((await app.jobs.waitReason(alone.id))?.text).toBe(
      'It waits for task "add": it waits because no worker serves queue "sums".',
    );
  });

  test('name the signal, the sleep and the moment at which they end', async () => {
    const app = engine.app();
    const done = app.task({ name: 'done', input: z.unknown(), run: async () => null });
    const order = app.task({ name: 'order', run: async () => ({ id: 'order-1' }) });
    const paid = app.signal({ name: 'paid' });
    await app.worker().start();
    const asleep = await chain(order, sleep('2h'), done).delay();
    const asked = await chain(order, waitFor(paid, { key: 'id', timeout: '3h' }), done).delay();
    await vi.waitFor(async () =>
      expect((await app.jobs.waitReason(asleep.id))?.text).toMatch(
        /^It waits in the step "sleep 2h", until [^ ]+Z\.$/,
      ),
    );
    await vi.waitFor(async () =>
      expect((await app.jobs.waitReason(asked.id))?.text).toMatch(
        /^It waits for signal "paid" with the key "order-1", until [^ ]+Z\.$/,
      ),
    );
    const [step = ''] = (await app.jobs.waitReason(asked.id))?.jobs ?? [];
    expect(await app.jobs.waitReason(step)).toMatchObject({ kind: 'signal', until: expect.any(Date) });
  });

  test('values are masked by the keys of the app and of the task', async () => {
    const app = engine.app({ sensitive: ['password'] });
    app.task({ name: 'pay', sensitive: ['card'], input: z.object({}), run: async () => null });
    const value = { card: '4242', nested: [{ password: 'secret-1' }], other: 'secret-1' };
    expect(app.mask('unknown', { card: '4242', password: 'secret-1' })).toMatchObject({ card: '4242' });
    expect(JSON.stringify(app.mask('pay', value))).not.toMatch(/4242|secret-1/);
  });
});
