import { hostname } from 'node:os';
import { type App, type AsyncResult, InvalidOptionError, UnknownQueueError } from '@umbel/core';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;
const within = { timeout: 15_000 };
const id = expect.stringMatching(/^[0-9a-f-]{36}$/);

/** A promise, and the function that resolves it. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

function withTasks(app: App) {
  const door = gate();
  const hold = app.task({
    name: 'hold',
    input: z.object({ n: z.number().default(7), secret: z.string().optional() }),
    output: z.string(),
    queue: 'slow',
    timeout: '1m',
    retry: { attempts: 3 },
    run: async () => {
      await door.opened;
      return 'held';
    },
  });
  const quick = app.task({ name: 'quick', run: async () => 1 });
  return { hold, quick, open: door.open };
}

onEveryEngine('without any worker', (engine) => {
  test('workers are none, questions are answered by nobody, and at once', async () => {
    const app = engine.app();
    expect(await app.inspect.workers()).toEqual([]);
    const startedAt = performance.now();
    expect(await app.inspect.ping({ timeout: '100s' })).toEqual({ answers: {}, errors: {}, missing: [] });
    expect(await app.control.shutdown({ timeout: '100s' })).toEqual({ answers: {}, errors: {}, missing: [] });
    expect(await app.inspect.active({ workers: 'nobody', timeout: '100s' })).toEqual({
      answers: {},
      errors: {},
      missing: ['nobody'],
    });
    expect(performance.now() - startedAt).toBeLessThan(50_000);
  });

  test('a queue with jobs that nobody serves is seen, with its age and its settings', async () => {
    const app = engine.app();
    const { hold, quick } = withTasks(app);
    const first = await hold.delay({});
    await hold.applyAsync({}, { priority: 5 });
    await app.control.rateLimit('slow', '100/m');
    await app.control.limitConcurrency('slow', 3);
    await app.control.pause('slow');
    await quick.applyAsync(undefined, { countdown: '1h' });
    const { enqueuedAt } = await first.info();
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(enqueuedAt.getTime() + 20));
    const queues = await app.inspect.queues();
    expect(queues).toEqual([
      {
        name: 'default',
        counts: expect.objectContaining({ waiting: 0, delayed: 1 }),
        isPaused: false,
        concurrency: null,
        rateLimit: null,
        oldestWaitingMs: null,
        limitedMs: null,
        lost: null,
        workers: [],
      },
      {
        name: 'slow',
        counts: expect.objectContaining({ waiting: 2, active: 0 }),
        isPaused: true,
        concurrency: 3,
        rateLimit: { max: 100, durationMs: 60_000 },
        oldestWaitingMs: expect.any(Number),
        limitedMs: null,
        lost: null,
        workers: [],
      },
    ]);
    expect(queues[1]?.oldestWaitingMs).toBeGreaterThanOrEqual(20);
    expect(queues[1]?.oldestWaitingMs).toBeLessThan(20_000);
    await app.control.resume('slow');
    await app.control.rateLimit('slow', undefined);
    await app.control.limitConcurrency('slow', undefined);
    expect((await app.inspect.queues())[1]).toMatchObject({
      isPaused: false,
      concurrency: null,
      rateLimit: null,
    });
  });
});

onEveryEngine('jobs that do not run', (engine) => {
  test('are scheduled in the order of their times, over all queues', async () => {
    const app = engine.app();
    const { hold, quick } = withTasks(app);
    const startedAt = Date.now();
    const late = await quick.applyAsync(undefined, { countdown: '3h' });
    const middle = await hold.applyAsync({}, { countdown: '2h' });
    const soonest = await quick.applyAsync(undefined, { countdown: '1h' });
    const jobs = await app.inspect.scheduled();
    expect(jobs.map((job) => job.id)).toEqual([soonest.id, middle.id, late.id]);
    expect(jobs[1]).toEqual({
      id: middle.id,
      task: 'hold',
      queue: 'slow',
      attempt: 1,
      enqueuedAt: expect.any(Date),
      dueAt: expect.any(Date),
    });
    const dueMs = (jobs[1]?.dueAt.getTime() ?? 0) - startedAt;
    expect(Math.abs(dueMs - 7_200_000)).toBeLessThan(20_000);
    expect((await app.inspect.scheduled({ limit: 1 })).map((job) => job.id)).toEqual([soonest.id]);
    expect((await app.inspect.scheduled({ queue: 'slow' })).map((job) => job.id)).toEqual([middle.id]);
  });

  test('that wait for another attempt are scheduled too', async () => {
    const app = engine.app();
    const task = app.task({
      name: 'failing',
      retry: { attempts: 2, delay: '1h', jitter: false },
      run: async () => {
        throw new Error('down');
      },
    });
    await app.worker().start();
    const startedAt = Date.now();
    const result = await task.delay();
    await vi.waitFor(async () => expect(await result.state()).toBe('delayed'), within);
    const [job] = await app.inspect.scheduled();
    expect(job).toMatchObject({ id: result.id, attempt: 2 });
    expect(Math.abs((job?.dueAt.getTime() ?? 0) - startedAt - 3_600_000)).toBeLessThan(20_000);
  });

  test('are reserved in the order in which they are taken', async () => {
    const app = engine.app();
    const ran: number[] = [];
    const task = app.task({
      name: 'numbered',
      input: z.number(),
      run: async (n) => {
        ran.push(n);
      },
    });
    const inputs = [
      [0, undefined],
      [1, 9],
      [2, 2],
      [3, undefined],
    ] as const;
    const results: AsyncResult<void>[] = [];
    for (const [n, priority] of inputs)
      results.push(await task.applyAsync(n, priority === undefined ? {} : { priority }));
    const reserved = await app.inspect.reserved();
    expect(reserved.map((job) => results.findIndex((result) => result.id === job.id))).toEqual([0, 3, 2, 1]);
    expect(reserved[0]).toEqual({
      id: results[0]?.id,
      task: 'numbered',
      queue: 'default',
      attempt: 1,
      enqueuedAt: expect.any(Date),
    });
    expect(await app.inspect.reserved({ limit: 3 })).toEqual(reserved.slice(0, 3));
    await app.worker({ concurrency: 1 }).start();
    await Promise.all(results.map((result) => result.get(soon)));
    expect(ran).toEqual([0, 3, 2, 1]);
    expect(await app.inspect.reserved()).toEqual([]);
  });
});

onEveryEngine('workers', (engine) => {
  test('are seen from another process, with what they serve and run', async () => {
    const app = engine.app();
    const { hold, open } = withTasks(app);
    const startedAt = Date.now();
    await app.worker({ name: 'one', queues: { slow: 3, default: 2 } }).start();
    await app.worker({ name: 'two', queues: ['slow'], concurrency: { min: 1, max: 4 } }).start();
    const other = engine.sameApp();
    const [one, two] = await other.inspect.workers();
    expect(one).toMatchObject({
      name: 'one',
      state: 'online',
      queues: { default: { concurrency: 2, active: 0 }, slow: { concurrency: 3, active: 0 } },
      concurrency: 5,
      active: 0,
      processes: [
        { id, state: 'online', host: hostname(), pid: process.pid, version: '0.1.0', concurrency: 5 },
      ],
    });
    expect(two?.queues).toEqual({ slow: { concurrency: 1, active: 0 } });
    expect(one?.processes[0]?.load).toBeGreaterThanOrEqual(0);
    expect(one?.processes[0]?.load).toBeLessThanOrEqual(1);
    expect(one?.processes[0]?.rssBytes).toBeGreaterThan(1_000_000);
    // The delay is noted at the next look at the event loop, which may come after the record.
    const next = { interval: 300 };
    await vi.waitFor(async () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500); // blocks the event loop
      await other.control.setConcurrency(2, { queue: 'default', workers: ['one'] }); // stores the record again
      const [blocked] = await other.inspect.workers();
      expect(blocked?.processes[0]?.loopDelayMs).toBeGreaterThanOrEqual(300);
    }, next);
    expect(Math.abs((one?.startedAt.getTime() ?? 0) - startedAt)).toBeLessThan(50_000);
    expect(one?.uptimeMs).toBeLessThan(20_000);
    const slow = (await other.inspect.queues()).find(({ name }) => name === 'slow');
    expect(slow?.workers).toEqual(['one', 'two']);
    expect((await other.inspect.workers()).map(({ name }) => name)).toEqual(['one', 'two']);
    open();
    void hold;
  });

  test('keep their record up to date', async () => {
    const app = engine.app();
    const { hold, open } = withTasks(app);
    await app.worker({ heartbeat: 100 }).start();
    const result = await hold.delay({});
    await vi.waitFor(
      async () => expect((await app.inspect.workers())[0]).toMatchObject({ active: 1 }),
      within,
    );
    open();
    await result.get(soon);
    await vi.waitFor(
      async () => expect((await app.inspect.workers())[0]).toMatchObject({ active: 0 }),
      within,
    );
  });

  test('are gone when they are closed, and are not seen without a heartbeat', async () => {
    const app = engine.app();
    withTasks(app);
    const worker = await app.worker({ name: 'one' }).start();
    await app.worker({ name: 'hidden', heartbeat: false }).start();
    expect((await app.inspect.workers()).map(({ name }) => name)).toEqual(['one']);
    expect(Object.keys((await app.inspect.ping({ timeout: '300ms' })).answers)).toEqual(['one']);
    await worker.close();
    expect(await app.inspect.workers()).toEqual([]);
  });

  test('of one name are one worker of several processes, and each answers for itself', async () => {
    const app = engine.app();
    const other = engine.sameApp();
    for (const one of [app, other]) {
      withTasks(one);
      await one.worker({ name: 'twin', queues: { slow: 2 } }).start();
    }
    const [twin, ...more] = await app.inspect.workers();
    expect(more).toEqual([]);
    expect(twin).toMatchObject({ name: 'twin', concurrency: 4, queues: { slow: { concurrency: 4 } } });
    expect(twin?.processes).toHaveLength(2);
    const { answers, missing } = await app.inspect.ping({ workers: ['twin'], ...soon });
    const labels = twin?.processes.map((one) => `twin#${one.id.slice(0, 8)}`) ?? [];
    expect(Object.keys(answers).sort()).toEqual([...labels].sort());
    expect(missing).toEqual([]);
    const byLabel = await app.inspect.ping({ workers: labels[1] ?? '', ...soon });
    expect(Object.keys(byLabel.answers)).toEqual([labels[1]]);
    const byId = await app.inspect.ping({ workers: [twin?.processes[0]?.id ?? ''], ...soon });
    expect(Object.keys(byId.answers)).toEqual([labels[0]]);
  });
});

onEveryEngine('a question', (engine) => {
  async function two() {
    const app = engine.app();
    const tasks = withTasks(app);
    await app.worker({ name: 'one', queues: ['slow'] }).start();
    const other = engine.sameApp();
    withTasks(other);
    await other.worker({ name: 'two', queues: ['default'], maxJobs: 5, lockDuration: '20s' }).start();
    return { app, asker: engine.sameApp(), ...tasks };
  }

  test('is answered by every worker, well before its time is over', async () => {
    const { asker } = await two();
    const startedAt = performance.now();
    const { answers, errors, missing } = await asker.inspect.ping({ timeout: '100s' });
    expect(performance.now() - startedAt).toBeLessThan(50_000);
    expect(answers).toEqual({
      one: { roundTripMs: expect.any(Number) },
      two: { roundTripMs: expect.any(Number) },
    });
    expect({ errors, missing }).toEqual({ errors: {}, missing: [] });
    expect(Object.keys((await asker.inspect.ping({ workers: 'two', ...soon })).answers)).toEqual(['two']);
  });

  test('tells what runs, and nothing of its input', async () => {
    const { asker, hold, open } = await two();
    const result = await hold.delay({ secret: 'canary' });
    await vi.waitFor(async () => expect(await result.state()).toBe('active'), within);
    const { answers } = await asker.inspect.active(soon);
    expect(answers).toEqual({
      one: [{ id: result.id, task: 'hold', queue: 'slow', attempt: 1, startedAt: expect.any(Date) }],
      two: [],
    });
    expect(JSON.stringify(answers)).not.toContain('canary');
    open();
    await result.get(soon);
    const { answers: stats } = await asker.inspect.stats(soon);
    expect(stats.one).toMatchObject({
      pid: process.pid,
      host: hostname(),
      node: process.version,
      version: '0.1.0',
      active: 0,
      queues: { slow: { concurrency: 10, active: 0 } },
      counts: { completed: 1, failed: 0, retried: 0, waiting: 0, returned: 0, lost: 0 },
      repairs: { checked: 0, started: 0, lost: 0, ended: 0 },
    });
    expect(stats.one?.startedAt).toBeInstanceOf(Date);
    expect(stats.two?.counts.completed).toBe(0);
  });

  test('tells the tasks with their JSON Schemas, without defaults', async () => {
    const { asker } = await two();
    const { answers } = await asker.inspect.registered(soon);
    expect(answers.one).toEqual(answers.two);
    expect(answers.one).toEqual([
      {
        name: 'hold',
        queue: 'slow',
        input: expect.objectContaining({
          type: 'object',
          properties: { n: { type: 'number' }, secret: { type: 'string' } },
        }),
        output: expect.objectContaining({ type: 'string' }),
        attempts: 3,
        timeoutMs: 60_000,
        expiresMs: null,
        priority: 0,
        isIsolated: false,
        states: [],
        failures: [],
      },
      expect.objectContaining({ name: 'quick', queue: 'default', input: null, output: null, attempts: 1 }),
    ]);
  });

  test('tells the settings', async () => {
    const { app, asker } = await two();
    const { answers } = await asker.inspect.conf(soon);
    expect(answers.two).toMatchObject({
      app: app.name,
      prefix: `umbel:{${app.name}}`,
      connection: { kind: engine.name === 'memory' ? 'other' : engine.name },
      codecs: [],
      resultTtlMs: 86_400_000,
      lockDurationMs: 20_000,
      heartbeatMs: 10_000,
      maxJobs: 5,
      maxMemoryBytes: null,
      healthPort: null,
      handlesForeignJobs: false,
    });
  });

  test('may be asked many times at once, and again later', async () => {
    const { asker } = await two();
    const all = await Promise.all(Array.from({ length: 20 }, () => asker.inspect.ping({ timeout: '100s' })));
    for (const { answers, missing } of all) {
      expect(Object.keys(answers)).toEqual(['one', 'two']);
      expect(missing).toEqual([]);
    }
  });

  test('too long an answer is an error of that worker', async () => {
    const app = engine.app();
    const input = z.string().describe('x'.repeat(1_100_000));
    app.task({ name: 'verbose', input, run: async () => 1 });
    await app.worker({ name: 'one' }).start();
    const { answers, errors } = await app.inspect.registered(soon);
    expect(Object.keys(answers)).toEqual([]);
    expect(errors.one).toMatch(/^its answer has \d+ bytes, more than the maximum of 1048576$/);
  });
});

describe('bad input', () => {
  onEveryEngine('is refused', (engine) => {
    test('before anything is asked', async () => {
      const app = engine.app();
      withTasks(app);
      await expect(app.inspect.ping({ timeout: 0 })).rejects.toThrow(InvalidOptionError);
      await expect(app.inspect.ping({ timeout: '11m' })).rejects.toThrow('`timeout`');
      await expect(app.inspect.ping({ workers: [''] })).rejects.toThrow('`workers`');
      await expect(app.inspect.ping({ workers: [7 as never] })).rejects.toThrow('`workers`');
      await expect(app.inspect.scheduled({ limit: 0 })).rejects.toThrow('`limit`');
      await expect(app.inspect.scheduled({ limit: 1001 })).rejects.toThrow('`limit`');
      await expect(app.inspect.reserved({ queue: 'nowhere' })).rejects.toThrow(UnknownQueueError);
      expect(() => app.worker({ heartbeat: 99 })).toThrow('`heartbeat`');
      expect(() => app.worker({ heartbeat: 'often' as never })).toThrow('`heartbeat`');
    });
  });
});
