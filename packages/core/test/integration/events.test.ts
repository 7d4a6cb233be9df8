import { chain, group } from '@umbel/canvas';
import { type AppEvent, encryption, InvalidOptionError, UnknownQueueError } from '@umbel/core';
import { coreOf } from '@umbel/core/internal';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { collect, count, times, typesOf } from '../support/collecting.js';

const soon = { timeout: '50s' } as const;
/** A worker that does not tell of itself, among the events of jobs. */
const unseen = { heartbeat: false } as const;

onEveryEngine('the events of a job', (engine) => {
  test('tell when it is enqueued, starts, reports and ends, with task, queue and attempt', async () => {
    const app = engine.app();
    const task = app.task({
      name: 'task',
      queue: 'own',
      input: z.number(),
      states: ['half'],
      run: async (n, { progress, setState }) => {
        await progress({ n });
        await setState('half');
        return n;
      },
    });
    const events = app.events();
    const { id } = await task.delay(7);
    await app.worker(unseen).start();
    const all = await collect(events, times('completed'));
    const facts = { id, task: 'task', queue: 'own' };
    const told = { at: expect.any(Date), position: expect.any(String) };
    expect(all).toEqual([
      { type: 'enqueued', ...facts, ...told },
      { type: 'started', attempt: 1, ...facts, ...told },
      { type: 'progress', value: { n: 7 }, attempt: 1, ...facts, ...told },
      { type: 'progress', value: { n: 7 }, state: 'half', attempt: 1, ...facts, ...told },
      { type: 'completed', attempt: 1, ...facts, ...told },
    ]);
    const moments = all.map(({ at }) => at.getTime());
    expect(moments).toEqual(moments.toSorted((a, b) => a - b));
    expect(Math.abs((moments[0] ?? 0) - Date.now())).toBeLessThan(20_000);
  });

  test('tell of retries, at once and after a time, and of the failure for good', async () => {
    const app = engine.app();
    const at = (delay: number) => ({
      input: z.number(),
      retry: { attempts: 3, delay, backoff: 'fixed', jitter: false } as const,
      run: async (_: number, { attempt }: { attempt: number }): Promise<null> => {
        throw new Error(`no ${attempt}`);
      },
    });
    const soonAgain = app.task({ name: 'soon', ...at(0) });
    const later = app.task({ name: 'later', ...at(500) });
    const [first, second] = [app.events({ tasks: ['soon'] }), app.events({ tasks: ['later'] })];
    await Promise.all([soonAgain.delay(1), later.delay(1)]);
    await app.worker(unseen).start();
    for (const [events, isLate] of [
      [first, false],
      [second, true],
    ] as const) {
      const all = await collect(events, times('failed'));
      const told = all.map(({ type, ...event }) => ({
        type,
        ...('attempt' in event && { attempt: event.attempt }),
        // The worker's clock sets the time, the store's tells when.
        ...('delayMs' in event && { isLate: event.delayMs > 50 }),
      }));
      expect(told).toEqual([
        { type: 'enqueued' },
        { type: 'started', attempt: 1 },
        { type: 'retried', attempt: 1, isLate },
        { type: 'started', attempt: 2 },
        { type: 'retried', attempt: 2, isLate },
        { type: 'started', attempt: 3 },
        { type: 'failed', attempt: 3 },
      ]);
      expect(all.at(-1)).toMatchObject({ reason: 'no 3' });
    }
  });

  test('tell why an attempt failed while the store knows, and how long the job waits', async () => {
    const app = engine.app();
    const task = app.task({
      name: 'task',
      retry: { attempts: 2, delay: '1h', backoff: 'fixed', jitter: false },
      run: async (): Promise<null> => {
        throw new Error('no');
      },
    });
    const events = app.events({ types: ['retried'] });
    await task.delay();
    await app.worker(unseen).start();
    const [retried] = await collect(events, count(1));
    expect(retried).toMatchObject({ attempt: 1, delayMs: expect.closeTo(3_600_000, -3), reason: 'no' });
  });

  test('tell expired, revoked and timed out jobs apart, and a countdown is no retry', async () => {
    const app = engine.app();
    const news = app.task({ name: 'news', run: async () => null });
    const endless = app.task({ name: 'endless', run: () => new Promise<null>(() => {}) });
    const brief = app.task({ name: 'brief', timeout: 20, run: () => new Promise<null>(() => {}) });
    const events = app.events();
    const stale = await news.applyAsync(undefined, { expires: new Date(Date.now() - 1) });
    const unwanted = await news.applyAsync(undefined, { countdown: '1h' });
    await unwanted.revoke();
    const running = await endless.delay();
    const late = await brief.delay();
    await app.worker(unseen).start();
    await vi.waitFor(async () => expect(await running.state()).toBe('active'));
    await running.revoke({ terminate: true });
    const ended = new Set(['expired', 'revoked', 'failed']);
    const all = await collect(events, (told) => told.filter(({ type }) => ended.has(type)).length === 4);
    const of = (id: string) =>
      all.filter((event) => 'id' in event && event.id === id).map(({ type }) => type);
    expect(of(stale.id)).toEqual(['enqueued', 'started', 'expired']);
    expect(of(unwanted.id)).toEqual(['enqueued', 'started', 'revoked']);
    expect(of(running.id)).toEqual(['enqueued', 'started', 'revoked']);
    expect(of(late.id)).toEqual(['enqueued', 'started', 'failed']);
    expect(all.find(({ type }) => type === 'failed')).toMatchObject({
      reason: expect.stringContaining('did not end within its timeout'),
    });
  });

  test('tell a dead letter that is replayed as enqueued, with its first attempt', async () => {
    const app = engine.app();
    let isBroken = true;
    const task = app.task({
      name: 'task',
      run: async () => {
        if (isBroken) throw new Error('no');
        return null;
      },
    });
    const events = app.events();
    const result = await task.delay();
    await app.worker(unseen).start();
    await result.outcome(soon);
    isBroken = false;
    await app.deadLetters.replay(result.id);
    const all = await collect(events, times('completed'));
    expect(typesOf(all)).toEqual(['enqueued', 'started', 'failed', 'enqueued', 'started', 'completed']);
    expect(all.at(-1)).toMatchObject({ attempt: 1, task: 'task' });
  });

  test('hold no result and nothing of a sealed value for those without the codec', async () => {
    const canary = 'canary-4711';
    const key = Buffer.alloc(32, 7);
    const app = engine.app({ codecs: [encryption({ keys: { a: key }, current: 'a' })] });
    const task = app.task({
      name: 'task',
      input: z.string(),
      retry: { attempts: 2, delay: 0 },
      run: async (text, { progress }): Promise<string> => {
        await progress(text);
        if (text.endsWith('!')) throw new Error(text);
        return text;
      },
    });
    await task.delay(canary);
    await task.delay(`${canary}!`);
    await app.worker(unseen).start();
    const isEnough = (all: readonly AppEvent[]) => times('completed')(all) && times('failed')(all);
    const own = await collect(app.events({ from: 'start' }), isEnough);
    // The two calls run at the same time.
    expect(own.filter(({ type }) => type === 'progress')).toContainEqual(
      expect.objectContaining({ value: canary }),
    );
    expect(JSON.stringify(own.filter(({ type }) => type !== 'progress'))).not.toContain(canary);
    const stranger = engine.sameApp({ codecs: [] });
    const seen = await collect(stranger.events({ from: 'start' }), isEnough);
    expect(typesOf(seen)).toEqual(typesOf(own));
    expect(JSON.stringify(seen)).not.toContain(canary);
  });
});

onEveryEngine('the events of a run', (engine) => {
  test('tell its start, its steps with its id, and its end; nothing of what Umbel adds between', async () => {
    const app = engine.app();
    const add = app.task({ name: 'add', input: z.number(), run: async (n) => n + 1 });
    const sum = app.task({
      name: 'sum',
      queue: 'sums',
      input: z.array(z.number()),
      run: async (all) => all.reduce((a, b) => a + b, 0),
    });
    const events = app.events();
    const run = await chain(add, group([add, add, add]), sum).delay(1);
    await app.worker(unseen).start();
    const all = await collect(events, times('run-finished'));
    expect(all[0]).toMatchObject({ type: 'run-started', runId: run.id });
    expect(all.at(-1)).toMatchObject({ type: 'run-finished', runId: run.id, state: 'completed' });
    const steps = all.slice(1, -1);
    expect(steps.every((event) => 'runId' in event && event.runId === run.id)).toBe(true);
    expect(steps.filter(({ type }) => type === 'completed')).toHaveLength(5);
    expect(steps.some((event) => 'task' in event && event.task?.startsWith('umbel:'))).toBe(false);
    const only = await collect(app.events({ from: 'start', id: run.id }), times('run-finished'));
    expect(typesOf(only)).toEqual(typesOf(all));
    const starts = await collect(
      app.events({ from: 'start', types: ['run-started', 'completed'], queues: ['sums'] }),
      count(1),
    );
    expect(starts).toMatchObject([{ type: 'completed', task: 'sum', queue: 'sums' }]);
  });

  test('tell steps that are skipped, and a run that fails', async () => {
    const app = engine.app();
    const stops = app.task({ name: 'stops', run: async (_, ctx): Promise<number> => ctx.stop(7) });
    const after = app.task({ name: 'after', input: z.number(), run: async (n) => n });
    const fails = app.task({
      name: 'fails',
      run: async (): Promise<number> => {
        throw new Error('no');
      },
    });
    const events = app.events();
    const early = await chain(stops, after).delay();
    const failing = await chain(fails, after).delay();
    await app.worker(unseen).start();
    const all = await collect(events, times('run-finished', 2));
    const of = (id: string) => all.filter((event) => 'runId' in event && event.runId === id);
    expect(
      of(early.id)
        .filter((event) => 'task' in event && event.task === 'after')
        .map(({ type }) => type),
    ).toEqual(['enqueued', 'started', 'skipped']);
    expect(of(early.id).at(-1)).toMatchObject({ type: 'run-finished', state: 'completed' });
    expect(of(failing.id).at(-1)).toMatchObject({ type: 'run-finished', state: 'failed' });
  });
});

onEveryEngine('events', (engine) => {
  test('go on from a position with exactly the rest, and two readers see the same order', async () => {
    const app = engine.app();
    const task = app.task({
      name: 'task',
      input: z.number(),
      run: async (n, { progress }) => {
        await progress(n);
        return n;
      },
    });
    const other = app.task({ name: 'other', queue: 'other', input: z.number(), run: async (n) => n });
    const run = chain(
      task,
      group([task, other]),
      app.task({ name: 'end', input: z.array(z.number()), run: async () => 1 }),
    );
    const live = app.events();
    const reading = collect(live, times('run-finished', 20));
    await app.worker({ concurrency: 10, ...unseen }).start();
    const runs = await Promise.all(Array.from({ length: 20 }, (_, n) => run.delay(n)));
    await Promise.all(runs.map((each) => each.get(soon)));
    const all = await reading;
    const again = await collect(
      engine.sameApp({ queues: ['other'] }).events({ from: 'start' }),
      count(all.length),
    );
    expect(again.map(placeless)).toEqual(all.map(placeless));
    for (const at of [0, 1, 57, all.length - 2]) {
      const rest = await collect(app.events({ from: all[at]?.position ?? '' }), count(all.length - at - 1));
      expect(rest.map(placeless)).toEqual(all.slice(at + 1).map(placeless));
      expect(rest.at(-1)?.position.split(',').slice(2).sort()).toEqual(
        all.at(-1)?.position.split(',').slice(2).sort(),
      );
    }
    for (const id of new Set(all.flatMap((event) => ('id' in event ? event.id : [])))) {
      const types = typesOf(all.filter((event) => 'id' in event && event.id === id));
      expect([types[0], types[1], types.at(-1)]).toEqual(['enqueued', 'started', 'completed']);
    }
  });

  test('go on behind the sending of a call with a countdown, which is no retry', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', run: async () => null });
    await app.worker(unseen).start();
    await (await task.applyAsync(undefined, { countdown: 20 })).get(soon);
    const all = await collect(app.events({ from: 'start' }), times('completed'));
    expect(typesOf(all)).toEqual(['enqueued', 'started', 'completed']);
    const rest = await collect(app.events({ from: all[0]?.position ?? '' }), times('completed'));
    expect(rest.map(placeless)).toEqual(all.slice(1).map(placeless));
  });

  test('tell when a worker begins to take jobs, and when it takes no more', async () => {
    const app = engine.app();
    const events = app.events({ types: ['worker-online', 'worker-offline'] });
    const worker = await app.worker({ name: 'one', queues: ['default'] }).start();
    await worker.close();
    const told = await collect(events, times('worker-offline'));
    const facts = { name: 'one', pid: process.pid, host: expect.any(String), id: expect.any(String) };
    expect(told.map((event) => [event.type, event.worker])).toEqual([
      ['worker-online', facts],
      ['worker-offline', facts],
    ]);
    expect(told[0]?.worker.id).toBe(told[1]?.worker.id);
  });

  test('begin at a moment', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    await app.worker(unseen).start();
    for (const n of [1, 2]) await (await task.delay(n)).get(soon);
    const before = await collect(app.events({ from: 'start' }), times('completed', 2));
    const last = before.at(-1)?.at ?? new Date();
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(last.getTime() + 1));
    const { id } = await task.delay(3);
    const after = await collect(app.events({ from: new Date(last.getTime() + 1) }), times('completed'));
    expect(after.map((event) => 'id' in event && event.id)).toEqual([id, id, id]);
    const all = await collect(app.events({ from: new Date(0) }), times('completed', 3));
    expect(all).toHaveLength(9);
  });

  test('tell workers that come and go, and nothing that is not in the form of that', async () => {
    const app = engine.app();
    const events = app.events({ from: 'start' });
    const worker = { id: 'w1', name: 'mine', host: 'here', pid: 7 };
    const publish = (fields: Record<string, string>) =>
      engine.bareQueue('umbel.control').getBackend().publishEvent(fields, 1000);
    await publish({ event: 'worker-online', worker: '{broken' });
    await publish({ event: 'worker-online', worker: '{"id":1}' });
    await publish({ event: 'worker-online', worker: JSON.stringify(worker) });
    await publish({ event: 'worker-offline', worker: JSON.stringify(worker) });
    expect(await collect(events, count(2))).toMatchObject([
      { type: 'worker-online', worker },
      { type: 'worker-offline', worker },
    ]);
  });

  test('tell of a worker that was lost', async () => {
    const app = engine.app();
    const lost = gate();
    let starts = 0;
    const task = app.task({
      name: 'task',
      run: async () => {
        starts += 1;
        if (starts === 1) await lost.opened;
        return null;
      },
    });
    const events = app.events();
    const newWorker = await coreOf(app).ownWorkers();
    const first = newWorker({ lockDuration: '1s', ...unseen });
    await first.start();
    await task.delay();
    await vi.waitFor(() => expect(starts).toBe(1));
    await first.abandon(); // as by kill -9
    await app.worker({ lockDuration: '1s', ...unseen }).start();
    const all = await collect(events, times('completed'));
    lost.open();
    // Once at least: on a busy machine, the second worker may lose its lock too.
    expect(typesOf(all).join(' ')).toMatch(/^enqueued started( stalled started)+ completed$/);
    expect(all.at(-1)).toMatchObject({ task: 'task', attempt: 1 });
  });

  test('that nobody can read are passed over', async () => {
    const app = engine.app();
    app.task({ name: 'task', run: async () => null });
    const publish = (fields: Record<string, string>) =>
      engine.bareQueue('default').getBackend().publishEvent(fields, 10_000);
    const events = app.events({ from: 'start' });
    await publish({ event: 'progress', jobId: 'x', data: '{broken' });
    await publish({ event: 'progress', jobId: 'x' });
    await publish({ event: 'completed' });
    await publish({ event: '__proto__', jobId: '__proto__' });
    await publish({ nothing: '1' });
    await publish({ event: 'progress', jobId: 'x', data: '{"__proto__":{"y":1},"n":1}' });
    await publish({ event: 'failed', jobId: 'gone' });
    const all = await collect(events, count(2));
    expect(all).toMatchObject([
      { type: 'progress', id: 'x', task: undefined, value: { n: 1 } },
      { type: 'failed', id: 'gone', task: undefined, reason: '' },
    ]);
    expect(({} as { y?: unknown }).y).toBeUndefined();
  });

  test('that the store dropped unread are told as a gap', async () => {
    const app = engine.app();
    app.task({ name: 'task', run: async () => null });
    const backend = engine.bareQueue('default').getBackend();
    const publish = (n: number) =>
      backend.publishEvent({ event: 'added', jobId: `j${n}`, name: 'task' }, 10_000);
    await publish(0);
    const [first] = await collect(app.events({ from: 'start' }), count(1));
    for (let n = 1; n < 1000; n += 1) await publish(n);
    await backend.trimEvents(200);
    const rest = await collect(
      app.events({ from: first?.position ?? '' }),
      (_, last) => 'id' in last && last.id === 'j999',
    );
    expect(rest[0]).toMatchObject({ type: 'gap', queue: 'default' });
    expect(rest.length).toBeGreaterThan(100);
    expect(times('gap', 2)(rest)).toBe(false);
    const none = await collect(
      app.events({ from: rest[10]?.position ?? '' }),
      (_, last) => 'id' in last && last.id === 'j999',
    );
    expect(times('gap')(none)).toBe(false);
    expect(none).toHaveLength(rest.length - 11);
  });

  test('end with their signal, with the app, and when they are left', async () => {
    const app = engine.app();
    const controller = new AbortController();
    const aborted = collect(app.events({ signal: controller.signal }), () => false);
    const closed = collect(app.events(), () => false);
    const task = app.task({ name: 'task', run: async () => null });
    const { id } = await task.delay();
    const [first] = await collect(app.events({ from: 'start' }), count(1));
    expect(first).toMatchObject({ type: 'enqueued', id });
    controller.abort(new Error('enough'));
    expect(typesOf(await aborted)).toEqual(typesOf((await aborted).slice(0, 1)));
    await app.close();
    expect((await closed).length).toBeLessThan(2);
    expect(await collect(app.events({ signal: AbortSignal.abort() }), () => false)).toEqual([]);
  });

  test('of queues that become known later are told too', async () => {
    const app = engine.app();
    const events = app.events();
    const first = events.next();
    const task = app.task({ name: 'task', queue: 'later', run: async () => null });
    const { id } = await task.delay();
    expect((await first).value).toMatchObject({ type: 'enqueued', id, queue: 'later' });
    await events.return?.();
  });

  test('refuse what is no query', () => {
    const app = engine.app();
    const bad = [
      { from: 'yesterday' },
      { from: '1,x' },
      { from: `1,0-0,a:1-1,a:1-1` },
      { from: new Date(Number.NaN) },
      { from: 7 },
      { types: ['nothing'] },
      { types: 'progress' },
      { tasks: [7] },
      { id: '' },
      { signal: 7 },
    ] as never[];
    for (const query of bad)
      expect(() => app.events(query), JSON.stringify(query)).toThrow(InvalidOptionError);
    expect(() => app.events({ queues: ['nowhere'] })).toThrow(UnknownQueueError);
  });
});

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** An event without its place, which is made of where each queue stands. */
function placeless({ position, ...event }: AppEvent): object {
  return event;
}
