import { chain, group } from '@umbel/canvas';
import { type AsyncResult, InvalidOptionError, type PurgeProgress, UnknownJobError } from '@umbel/core';
import { FlowProducer, QueueEvents } from 'bullmq';
import { expect, test, vi } from 'vitest';
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

  test('looks at steps among thousands of calls once, and keeps every one of them', async () => {
    const app = engine.app();
    const mail = app.task({
      name: 'mail',
      queue: 'mail',
      input: z.object({ n: z.number() }),
      run: ({ n }) => n,
    });
    const runs: AsyncResult<number[]>[] = [];
    for (let part = 0; part < 4; part += 1) {
      await mail.sendMany(Array.from({ length: 300 }, (_, n) => ({ n })));
      for (let each = 0; each < 5; each += 1)
        runs.push(await group(Array.from({ length: 30 }, (_, n) => mail.s({ n }))).delay());
    }
    const told: PurgeProgress[] = [];
    const purged = await app.queue('mail').purge({ onProgress: (progress) => told.push(progress) });

    expect(purged).toEqual({ removed: 1200, revokedRuns: 20 });
    expect(await app.queue('mail').counts()).toMatchObject({ waiting: 600 });
    expect(told.length).toBeGreaterThan(4);
    expect(told.every(({ total }) => total === 1800)).toBe(true);
    const done = told.map((progress) => progress.done);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(told.at(-1)).toEqual({ removed: 1200, revokedRuns: 20, done: 1800, total: 1800 });
    // None is there twice, and each can still run.
    const ids = await engine.bareQueue('mail').getRanges(['wait'], 0, -1);
    expect(new Set(ids).size).toBe(600);
    await app.worker({ concurrency: 50 }).start();
    for (const run of runs)
      expect(await run.outcome(soon)).toMatchObject({ ok: false, error: { state: 'revoked' } });
    await runs[2]?.resume();
    expect(await runs[2]?.get(soon)).toHaveLength(30);
  });

  test('leaves what is sent meanwhile, in its order', async () => {
    const app = engine.app();
    const ran: number[] = [];
    const mail = app.task({
      name: 'mail',
      queue: 'mail',
      input: z.number(),
      run: (n) => {
        ran.push(n);
      },
    });
    await mail.sendMany(Array.from({ length: 700 }, () => 0));
    await mail.sendMany(
      Array.from({ length: 300 }, () => 0),
      { priority: 2 },
    );
    const sending: Promise<unknown>[] = [];
    const purged = await app.queue('mail').purge({
      delayed: true,
      onProgress: () => {
        const n = sending.length + 1;
        sending.push(n % 2 === 0 ? mail.applyAsync(n, { priority: 1 }) : mail.delay(n));
      },
    });
    await Promise.all(sending);
    expect(purged).toEqual({ removed: 1000, revokedRuns: 0 });
    expect(sending.length).toBeGreaterThanOrEqual(4);
    expect(await app.queue('mail').counts()).toMatchObject({ waiting: sending.length });
    const worker = await app.worker({ concurrency: 1, queues: ['mail'] }).start();
    await vi.waitFor(() => expect(ran).toHaveLength(sending.length), { timeout: 10_000 });
    await worker.close();
    const plain = ran.filter((n) => n % 2 === 1);
    expect(plain).toEqual(plain.toSorted((a, b) => a - b));
  });

  test('is ended by what onProgress throws, and goes on when it is repeated', async () => {
    const app = engine.app();
    const mail = app.task({ name: 'mail', queue: 'mail', input: z.number(), run: (n) => n });
    await mail.sendMany(Array.from({ length: 600 }, (_, n) => n));
    const enough = new Error('enough');
    const onProgress = () => {
      throw enough;
    };
    await expect(app.queue('mail').purge({ onProgress })).rejects.toBe(enough);
    const { waiting } = await app.queue('mail').counts();
    expect(waiting).toBeGreaterThan(0);
    expect(waiting).toBeLessThan(600);
    expect(await app.queue('mail').purge()).toEqual({ removed: waiting, revokedRuns: 0 });
  });

  test('removes or leaves to a worker each job that the worker takes from, and never both', async () => {
    const app = engine.app();
    const ran = new Set<number>();
    const mail = app.task({
      name: 'mail',
      queue: 'mail',
      input: z.number(),
      run: (n) => {
        ran.add(n);
      },
    });
    const sent = await mail.sendMany(Array.from({ length: 3000 }, (_, n) => n));
    const worker = await app.worker({ concurrency: 5, queues: ['mail'] }).start();
    await vi.waitFor(() => expect(ran.size).toBeGreaterThan(20), { timeout: 10_000, interval: 1 });
    const { removed } = await app.queue('mail').purge();
    await worker.close();
    expect(removed).toBeGreaterThan(0);
    expect(ran.size + removed).toBe(3000);
    expect(await app.queue('mail').counts()).toMatchObject({ waiting: 0, active: 0, failed: 0 });
    const states = await Promise.all([...ran].slice(0, 20).map((n) => sent[n]?.state()));
    expect(new Set(states)).toEqual(new Set(['completed']));
  });

  test('removes calls with callbacks, foreign flows and what is deduplicated, so that all can be sent anew', async () => {
    const app = engine.app();
    const mail = app.task({ name: 'mail', queue: 'mail', input: z.number(), run: (n) => n });
    const told = app.task({ name: 'told', input: z.unknown(), run: () => null });
    const linked = await mail.applyAsync(1, { linkError: told });
    await mail.applyAsync(2, { throttle: { for: '1h', key: 'two' } });
    const { options, factory } = engine.connection();
    const flows = new FlowProducer({ connection: options, prefix: `umbel:{${app.name}}` }, factory);
    await flows.add({
      name: 'parent',
      queueName: 'mail',
      children: [{ name: 'child', queueName: 'mail', opts: { jobId: 'a.b' } }],
    });
    await flows.close();
    expect(await app.queue('mail').purge()).toEqual({ removed: 3, revokedRuns: 0 });
    // BullMQ starts a parent whose last child was removed.
    expect(await app.queue('mail').purge()).toEqual({ removed: 1, revokedRuns: 0 });
    await mail.applyAsync(2, { throttle: { for: '1h', key: 'two' } });
    expect(await app.queue('mail').counts()).toMatchObject({ waiting: 1, 'waiting-children': 0 });
    await app.worker().start();
    await expect(linked.get(soon)).rejects.toThrow(UnknownJobError);
    expect(await told.delay({}).then((result) => result.get(soon))).toBe(null);
  });

  test("leaves the next job of BullMQ's own schedulers, by which they live", async () => {
    const app = engine.app();
    const mail = app.task({ name: 'mail', queue: 'mail', input: z.number(), run: (n) => n });
    await mail.applyAsync(1, { countdown: '1h' });
    const bare = engine.bareQueue('mail');
    await bare.upsertJobScheduler('hourly', { every: 3_600_000 }, { name: 'tick' });
    const next = (await bare.getRanges(['delayed', 'wait'], 0, -1)).filter((id) => id.startsWith('repeat:'));
    expect(next).toHaveLength(1);
    expect(await app.queue('mail').purge({ delayed: true })).toEqual({ removed: 1, revokedRuns: 0 });
    expect(await bare.getRanges(['delayed', 'wait'], 0, -1)).toEqual(next);
  });

  test('stores an event of each job that is gone, as BullMQ does', async () => {
    const app = engine.app();
    const mail = app.task({ name: 'mail', queue: 'mail', input: z.number(), run: (n) => n });
    const sent = await mail.sendMany([1, 2, 3]);
    await app.queue('mail').purge();
    const { options, factory } = engine.connection();
    const shared = { connection: options, prefix: `umbel:{${app.name}}`, lastEventId: '0' };
    const events = new QueueEvents('mail', shared, factory);
    const seen: { jobId: string; prev: string }[] = [];
    events.on('removed', ({ jobId, prev }) => seen.push({ jobId, prev }));
    await vi.waitFor(() => expect(seen).toHaveLength(3), { timeout: 10_000 });
    await events.close();
    expect(seen).toEqual(sent.map(({ id }) => ({ jobId: id, prev: 'wait' })));
  });

  test("is refused for Umbel's own queue, and for what is no option", async () => {
    const app = engine.app();
    await expect(app.queue('umbel').purge()).rejects.toThrow(InvalidOptionError);
    await expect(app.queue('default').purge({ delayed: 'yes' as never })).rejects.toThrow('delayed');
    await expect(app.queue('default').purge({ onProgress: 1 as never })).rejects.toThrow('onProgress');
  });
});
