import { chain, group } from '@umbel/canvas';
import { type AsyncResult, createApp } from '@umbel/core';
import type { BackendFactory, IQueueBackend } from 'bullmq';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { memory, onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

onEveryEngine('revoking a run', (engine) => {
  function steps() {
    const app = engine.app();
    const runs: string[] = [];
    let open = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const first = app.task({
      name: 'first',
      run: async (_, { signal }) => {
        runs.push('first');
        await Promise.race([
          opened,
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
        ]);
        return 1;
      },
    });
    const next = app.task({
      name: 'next',
      input: z.number(),
      run: async (n) => {
        runs.push('next');
        return n + 1;
      },
    });
    return { app, runs, open, first, next };
  }

  test('keeps every step that has not started from running, also those that are not added yet', async () => {
    const { app, runs, open, first, next } = steps();
    const run = await chain(first, group([next, next]), group([next.si(5), next.si(6)])).delay();
    await app.worker().start();
    await vi.waitFor(() => expect(runs).toEqual(['first']));
    expect(await run.revoke()).toBe(true);
    open();
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(await run.state()).toBe('revoked');
    expect(runs).toEqual(['first']);
    expect(await run.revoke()).toBe(false);
  });

  test.each([false, true])('makes no dead letters, and is no failure (terminate: %s)', async (terminate) => {
    const { app, runs, open, first, next } = steps();
    const told: unknown[] = [];
    const tell = (name: string) =>
      app.task({
        name,
        input: z.any(),
        run: (outcome: unknown) => {
          told.push([name, outcome]);
          return null;
        },
      });
    const [error, end] = [tell('error'), tell('end')];
    const alone = await first.applyAsync(undefined, { linkError: error });
    const run = await chain(first.linkError(error), group([next, next]), next.si(1))
      .linkError(error)
      .finally(end)
      .delay();
    await app.worker().start();
    await vi.waitFor(() => expect(runs).toEqual(['first', 'first']));
    for (const each of [alone, run]) expect(await each.revoke({ terminate })).toBe(true);
    open();
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(told).toMatchObject([['end', { ok: false, error: { error: { code: 'REVOKED' } } }]]);
    const { failed } = (await app.jobs.counts()).total;
    expect(failed).toBeGreaterThan(0);
    expect(await app.deadLetters.list()).toEqual([]);
  });

  test('gives up the step that runs, if it is to be terminated', async () => {
    const { app, runs, first, next } = steps();
    const run = await chain(first, next).delay();
    await app.worker().start();
    await vi.waitFor(() => expect(runs).toEqual(['first']));
    expect(await run.revoke({ terminate: true })).toBe(true);
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
  });

  test('keeps what a call puts in its place afterwards from running', async () => {
    const { app, runs, open, next } = steps();
    const becoming = app.task({
      name: 'becoming',
      run: async (_, ctx) => {
        runs.push('becoming');
        while (!isRevoked) await new Promise(setImmediate);
        return ctx.replace(next.si(1));
      },
    });
    let isRevoked = false;
    const call = await becoming.delay();
    await app.worker().start();
    await vi.waitFor(() => expect(runs).toEqual(['becoming']));
    expect(await call.revoke()).toBe(true);
    isRevoked = true;
    await expect(call.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(runs).toEqual(['becoming']);
    open();
  });

  test('keeps what stands in the place of what a call has put in its place from running', async () => {
    const { app, runs, next } = steps();
    let isRevoked = false;
    const inner = app.task({
      name: 'inner',
      run: async (_, ctx) => {
        runs.push('inner');
        while (!isRevoked) await new Promise(setImmediate);
        return ctx.replace(chain(next.si(1), group([next, next])));
      },
    });
    const outer = app.task({ name: 'outer', run: async (_, ctx) => ctx.replace(inner) });
    const call = await outer.delay();
    await app.worker().start();
    await vi.waitFor(() => expect(runs).toEqual(['inner']));
    expect(await call.revoke()).toBe(true);
    isRevoked = true;
    await expect(call.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(runs).toEqual(['inner']);
  });

  test('ends a run of members that may fail as revoked', async () => {
    const { app, runs, open, first, next } = steps();
    const run = await group.settled([first, next.si(1), chain(first, next)]).delay();
    await app.worker({ concurrency: 1 }).start();
    await vi.waitFor(() => expect(runs).toEqual(['first']));
    expect(await run.revoke()).toBe(true);
    open();
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(await run.state()).toBe('revoked');
  });

  test('ends at once what waits for a time', async () => {
    const { app, runs, next } = steps();
    const run = await chain(next, next).applyAsync(1, { countdown: '30d' });
    await app.worker().start();
    await run.revoke();
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(runs).toEqual([]);
  });
});

onEveryEngine('options of a run', (engine) => {
  test('expires: a step that could not start in time ends the run', async () => {
    const app = engine.app();
    const step = app.task({ name: 'step', input: z.number(), run: async (n) => n });
    const run = await chain(step, step).applyAsync(1, { expires: new Date(Date.now() - 1) });
    await app.worker().start();
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'expired', task: 'step' });
    expect(await run.state()).toBe('expired');
  });

  test('idempotencyKey: the same workflow and input is the same run; another is refused', async () => {
    const app = engine.app();
    const runs: number[] = [];
    const step = app.task({
      name: 'step',
      input: z.number(),
      run: async (n) => {
        runs.push(n);
        return n + 1;
      },
    });
    const key = { idempotencyKey: 'once' };
    const workflow = chain(step, group([step, step]));
    await app.worker().start();
    const all = await Promise.all(Array.from({ length: 20 }, () => workflow.applyAsync(1, key)));
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    expect(await all[0]?.get(soon)).toEqual([3, 3]);
    const late = await workflow.applyAsync(1, key);
    expect(await late.get(soon)).toEqual([3, 3]);
    expect(runs.sort()).toEqual([1, 2, 2]);
    await expect(workflow.applyAsync(2, key)).rejects.toMatchObject({ code: 'IDEMPOTENCY_CONFLICT' });
    await expect(chain(step, step).applyAsync(1, key)).rejects.toMatchObject({
      code: 'IDEMPOTENCY_CONFLICT',
    });
  });

  test('link and linkError: compositions too, sent once with the result of the whole', async () => {
    const app = engine.app();
    const told: unknown[] = [];
    const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
    const fail = app.task({ name: 'fail', input: z.number(), run: () => Promise.reject(new Error('no')) });
    const tell = app.task({
      name: 'tell',
      input: z.unknown(),
      run: async (what) => {
        told.push(what);
      },
    });
    await app.worker().start();
    const link = { link: chain(double, group([double, tell])), linkError: chain(tell, tell) };
    const run = await chain(double, double).applyAsync(1, link);
    expect(await run.get(soon)).toBe(4);
    await vi.waitFor(() => expect(told).toEqual([8]));
    const broken = await chain(double, fail).applyAsync(1, { linkError: tell });
    await expect(broken.get(soon)).rejects.toThrow('no');
    await vi.waitFor(() => expect(told).toHaveLength(2));
    expect(told[1]).toMatchObject({ task: 'fail', attempts: 1, error: { name: 'Error', message: 'no' } });
  });
});

test('a run that is revoked while members are on their way to the store runs none of them', async () => {
  const factory = memory() as BackendFactory<IQueueBackend>;
  let onTheWay = async () => {};
  const app = createApp({
    name: 'late',
    connection: (...args) => {
      const backend = factory(...args);
      const addFlow = backend.addFlow.bind(backend);
      backend.addFlow = async (entries) => {
        await onTheWay();
        return addFlow(entries);
      };
      return backend;
    },
    logger: { info() {}, warn() {}, error() {} },
  });
  const ran: string[] = [];
  const first = app.task({
    name: 'first',
    run: async () => {
      ran.push('first');
      return 1;
    },
  });
  const member = app.task({
    name: 'member',
    queue: 'later',
    input: z.number(),
    run: async () => {
      ran.push('member');
    },
  });
  const run: AsyncResult<unknown> = await chain(first, group([member, member])).delay();
  onTheWay = async () => {
    onTheWay = async () => {};
    expect(await run.revoke()).toBe(true);
  };
  await app.worker({ queues: ['default'] }).start();
  const fanOut = async () => (await app.queue('umbel').counts()).completed;
  await vi.waitFor(async () => expect(await fanOut()).toBe(1), { timeout: 5000 });
  await app.worker({ queues: ['later'] }).start();
  await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
  expect(ran).toEqual(['first']);
  await app.close();
});
