import { EventEmitter, once } from 'node:events';
import { type AppWorker, InvalidOptionError, UnknownQueueError, WorkerClosedError } from '@umbel/core';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

onEveryEngine('the life of a worker', (engine) => {
  /** A task that runs until it is let go, and how many run at a time at most. */
  function gated(queues: readonly string[] = ['default']) {
    const app = engine.app();
    const signals = new EventEmitter().setMaxListeners(0);
    const running = new Map<string, number>();
    const most = new Map<string, number>();
    const tasks = queues.map((queue) =>
      app.task({
        name: `held-${queue}`,
        queue,
        input: z.number(),
        run: async (n, ctx) => {
          const now = (running.get(queue) ?? 0) + 1;
          running.set(queue, now);
          most.set(queue, Math.max(most.get(queue) ?? 0, now));
          if (!isOpen) await Promise.race([once(signals, 'open'), ctx.sleep('1h')]);
          running.set(queue, (running.get(queue) ?? 0) - 1);
          return n;
        },
      }),
    );
    let isOpen = false;
    return {
      app,
      running: (queue = 'default') => running.get(queue) ?? 0,
      most: (queue = 'default') => most.get(queue) ?? 0,
      send: (count: number, queue = 'default') =>
        tasks[queues.indexOf(queue)]?.sendMany(Array.from({ length: count }, (_, n) => n)) ?? [],
      open() {
        isOpen = true;
        signals.emit('open');
      },
    };
  }

  const reaches = (value: () => number, expected: number) =>
    vi.waitFor(() => expect(value()).toBe(expected), { timeout: 10_000, interval: 5 });

  test('begins new, runs, closes, and tells why it has closed', async () => {
    const { app, send, open, running } = gated();
    const worker = app.worker({ name: 'one' });
    expect([worker.name, worker.state]).toEqual(['one', 'new']);
    const starting = worker.start();
    expect(worker.state).toBe('starting');
    await starting;
    expect(worker.state).toBe('running');
    await send(1);
    await reaches(running, 1);
    const closing = worker.close();
    expect(worker.state).toBe('closing');
    open();
    await closing;
    expect(worker.state).toBe('closed');
    expect(await worker.closed).toBe('closed');
    expect(worker.counts).toMatchObject({ completed: 1, failed: 0, returned: 0 });
  });

  test('tells what runs', async () => {
    const { app, send, open } = gated();
    const worker = await app.worker().start();
    const [sent] = await send(1);
    await vi.waitFor(() => expect(worker.active).toHaveLength(1));
    expect(worker.active).toEqual([
      {
        id: sent?.id,
        task: 'held-default',
        queue: 'default',
        attempt: 1,
        startedAt: expect.any(Date),
        waitedMs: expect.any(Number),
      },
    ]);
    open();
    await sent?.get(soon);
    await vi.waitFor(() => expect(worker.active).toEqual([]));
  });

  test('runs as many jobs of each queue as it is told', async () => {
    const { app, send, open, running, most } = gated(['mail', 'reports']);
    await app.worker({ queues: { mail: 3, reports: 1 } }).start();
    const sent = [...(await send(5, 'mail')), ...(await send(5, 'reports'))];
    await reaches(() => running('mail'), 3);
    await reaches(() => running('reports'), 1);
    open();
    await Promise.all(sent.map((result) => result.get(soon)));
    expect([most('mail'), most('reports')]).toEqual([3, 1]);
  });

  test('runs more at once as soon as it is told, though every place is taken, and fewer', async () => {
    const { app, send, open, running, most } = gated();
    const worker = await app.worker({ concurrency: 1 }).start();
    const sent = await send(6);
    await reaches(running, 1);
    await worker.setConcurrency(4);
    await reaches(running, 4);
    await worker.setConcurrency(2, 'default');
    open();
    await Promise.all(sent.map((result) => result.get(soon)));
    expect(most()).toBe(4);
    await expect(worker.setConcurrency(2, 'other')).rejects.toThrow(UnknownQueueError);
    await expect(worker.setConcurrency(0)).rejects.toThrow(InvalidOptionError);
  });

  test('lets the number of its jobs follow the load between bounds', async () => {
    const { app, send, open, running } = gated();
    await app.worker({ concurrency: { min: 1, max: 3 } }).start();
    const sent = await send(6);
    await reaches(running, 1);
    await reaches(running, 3); // one more every second while all places are taken
    open();
    await Promise.all(sent.map((result) => result.get(soon)));
  });

  test('serves one more queue, and one fewer, when it is told', async () => {
    const { app, send, open, running } = gated(['mail', 'reports']);
    const worker = await app.worker({ queues: ['mail'] }).start();
    const [report] = await send(1, 'reports');
    await worker.addQueue('reports');
    expect(worker.queues).toEqual(['mail', 'reports']);
    await reaches(() => running('reports'), 1);
    let isRemoved = false;
    const removing = worker.removeQueue('reports').then(() => {
      isRemoved = true;
    });
    const [mail] = await send(1, 'mail');
    await reaches(() => running('mail'), 1);
    expect(isRemoved).toBe(false);
    open();
    await removing;
    await mail?.get(soon);
    expect(await report?.get(soon)).toBe(0);
    expect(worker.queues).toEqual(['mail']);
    const [late] = await send(1, 'reports');
    await (await send(1, 'mail'))[0]?.get(soon);
    expect(await late?.state()).toBe('waiting');
    await expect(worker.removeQueue('reports')).rejects.toThrow(UnknownQueueError);
    await expect(worker.removeQueue('umbel')).rejects.toThrow(UnknownQueueError);
    await expect(worker.addQueue('umbel')).rejects.toThrow(InvalidOptionError);
  });

  test('gives back what has not ended in the time of its close, and tells which: it runs elsewhere at once', async () => {
    const warnings: string[] = [];
    const app = engine.app({ logger: { info() {}, warn: (text) => warnings.push(text), error() {} } });
    const starts: number[] = [];
    const reasons: unknown[] = [];
    const define = (on: typeof app, isStubborn: boolean) =>
      on.task({
        name: 'slow',
        retry: { attempts: 2 },
        run: async (_input, ctx) => {
          starts.push(ctx.attempt);
          ctx.signal.addEventListener('abort', () => reasons.push(ctx.signal.reason));
          if (isStubborn) await ctx.sleep('1h');
          return 'done';
        },
      });
    const slow = define(app, true);
    const worker = await app.worker({ name: 'one' }).start();
    const sent = await slow.delay();
    await reaches(() => starts.length, 1);
    await worker.close({ timeout: '50ms' });
    expect(worker.counts).toMatchObject({ returned: 1, failed: 0 });
    expect(reasons).toEqual([expect.any(WorkerClosedError)]);
    expect(warnings).toContainEqual(
      expect.stringMatching(
        new RegExp(`worker one returned a running job to its queue: slow ${sent.id} \\(\\d+ s\\)`),
      ),
    );
    const other = engine.sameApp();
    define(other, false);
    await other.worker().start();
    expect(await sent.get(soon)).toBe('done');
    expect(starts).toEqual([1, 1]); // no attempt was used up
  });

  test('waits for what ends in the time of its close', async () => {
    const { app, send, open, running } = gated();
    const worker = await app.worker().start();
    const [sent] = await send(1);
    await reaches(running, 1);
    const closing = worker.close({ timeout: '10s' });
    open();
    await closing;
    expect(await sent?.get(soon)).toBe(0);
    expect(worker.counts).toMatchObject({ completed: 1, returned: 0 });
  });

  test('closes by itself after so many attempts, with those that run then', async () => {
    const app = engine.app();
    const task = app.task({ name: 'quick', run: async () => 1 });
    const worker = await app.worker({ maxJobs: 5, concurrency: 2 }).start();
    const sent = await task.sendMany(Array.from({ length: 20 }, () => undefined));
    expect(await worker.closed).toBe('max-jobs');
    expect(worker.counts.completed).toBeGreaterThanOrEqual(5);
    expect(worker.counts.completed).toBeLessThanOrEqual(7);
    const rest = app.worker();
    await rest.start();
    await Promise.all(sent.map((result) => result.get(soon)));
    expect(worker.counts.completed + rest.counts.completed).toBe(20);
  });

  test('closes by itself when its process uses too much memory', async () => {
    const app = engine.app();
    const task = app.task({ name: 'quick', run: async () => 1 });
    const worker = await app.worker({ maxMemory: '1MB' }).start();
    const sent = await task.delay();
    expect(await worker.closed).toBe('max-memory');
    expect(await sent.get(soon)).toBe(1);
  });

  describe('tells how it is', () => {
    const ask = async (worker: AppWorker, path: string) => {
      const answer = await fetch(`http://127.0.0.1:${worker.healthPort}${path}`);
      return [answer.status, await answer.json()] as const;
    };

    test('by a function and by HTTP', async () => {
      const { app } = gated();
      const worker = app.worker({ health: { port: 0, host: '127.0.0.1' } });
      expect(await worker.health()).toMatchObject({ ready: false, reasons: ['the worker is new'] });
      await worker.start();
      const fine = { live: true, ready: true, reasons: [] };
      expect(await worker.health()).toEqual(fine);
      expect(await ask(worker, '/livez')).toEqual([200, fine]);
      expect(await ask(worker, '/readyz?verbose')).toEqual([200, fine]);
      expect(await ask(worker, '/other')).toEqual([404, { error: 'unknown path, use /livez, /readyz' }]);
    });

    test('while it closes: live, and not ready', async () => {
      const { app, send, open, running } = gated();
      const worker = await app.worker({ health: { port: 0, host: '127.0.0.1' } }).start();
      await send(1);
      await reaches(running, 1);
      const closing = worker.close();
      const told = { live: true, ready: false, reasons: ['the worker is closing'] };
      expect(await ask(worker, '/readyz')).toEqual([503, told]);
      expect(await ask(worker, '/livez')).toEqual([200, told]);
      open();
      await closing;
      expect(await worker.health()).toMatchObject({ live: false, ready: false });
      await expect(fetch(`http://127.0.0.1:${worker.healthPort}/livez`)).rejects.toThrow();
    });

    test('and does not start where its port is taken', async () => {
      const { app } = gated();
      const first = await app.worker({ health: { port: 0, host: '127.0.0.1' } }).start();
      const second = app.worker({ health: { port: first.healthPort ?? 0, host: '127.0.0.1' } });
      await expect(second.start()).rejects.toThrow('EADDRINUSE');
      expect(second.state).toBe('closed');
      expect(await second.closed).toBe('closed');
    });
  });

  test.each([
    [{ queues: { mail: 0 } }, '`queues.mail`'],
    [{ queues: { 'a b': 1 } }, '`queues`'],
    [{ shutdownTimeout: -1 }, '`shutdownTimeout`'],
    [{ maxJobs: 0.5 }, '`maxJobs`'],
    [{ maxJobs: 0 }, '`maxJobs`'],
    [{ maxMemory: 'much' }, '`maxMemory`'],
    [{ health: 70_000 }, '`health`'],
    [{ health: { port: 1, host: '' } }, '`health.host`'],
    [{ handleSignals: 'yes' }, '`handleSignals`'],
    [{ concurrency: { min: 2, max: 1 } }, '`concurrency.max`'],
  ])('is not made with %j', (options, named) => {
    const { app } = gated();
    const make = () => app.worker(options as never);
    expect(make).toThrow(InvalidOptionError);
    expect(make).toThrow(named);
  });
});
