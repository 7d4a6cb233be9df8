/** A signal ends every wait: one for a value rejects with its reason, an iteration ends as if it had been left. */
import { group, map } from '@umbel/canvas';
import { type App, type AsyncResult, TimeoutError, UnknownJobError } from '@umbel/core';
import { afterEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

interface Waiting {
  readonly signal?: AbortSignal;
  readonly timeout?: number;
}

/** Every iteration that takes a signal, of a run of a group whose first member has ended and whose others go on. */
const ITERATIONS: [
  name: string,
  of: (app: App, run: AsyncResult<unknown>, job: AsyncResult<unknown>) => Open,
][] = [
  ['progress of a job', (_app, _run, job) => (options) => job.progress(options)],
  ['progress of a run', (_app, run) => (options) => run.progress(options)],
  ['members', (_app, run) => (options) => run.members(options)],
  ['collect', (_app, run) => (options) => run.collect(options)],
  [
    'events',
    (app) =>
      ({ signal }) =>
        app.events({ from: 'start', ...(signal && { signal }) }),
  ],
];
type Open = (options: Waiting) => AsyncIterable<unknown>;

const STORED = ITERATIONS.filter(([name]) => name !== 'events');

async function listOf(values: AsyncIterable<unknown>, onEach: () => void = () => {}): Promise<unknown[]> {
  const list: unknown[] = [];
  for await (const value of values) {
    list.push(value);
    onEach();
  }
  return list;
}

/** Ends the handlers that a test has left running, before its app is closed. */
const releases: (() => void)[] = [];

onEveryEngine('a signal that is aborted', (engine) => {
  // Hooks run last first: handlers end before the engine closes the apps.
  afterEach(() => {
    for (const release of releases.splice(0)) release();
  });

  /** A group whose first two members end, and whose last one goes on until the test is over. */
  async function underWay() {
    const app = engine.app();
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    releases.push(() => release());
    const film = app.task({
      name: 'film',
      input: z.number(),
      run: async (n, ctx) => {
        await ctx.progress({ percent: n });
        if (n > 2) await released;
        return n;
      },
    });
    const worker = app.worker({ concurrency: 10 });
    await worker.start();
    const run = await map(film, [1, 2, 3]).delay();
    const job = await film.delay(4);
    await vi.waitFor(async () => expect(await job.state()).toBe('active'), { timeout: 10_000 });
    await vi.waitFor(async () => expect((await run.counts()).completed).toBe(2), { timeout: 10_000 });
    return { app, run: run as AsyncResult<unknown>, job: job as AsyncResult<unknown> };
  }

  test.each(ITERATIONS)('ends an iteration quietly: %s', async (_, of) => {
    const { app, run, job } = await underWay();
    const open = of(app, run, job);
    const before = await listOf(open({ signal: AbortSignal.abort(new Error('enough')) }));
    expect(before).toEqual([]);

    const waiting = new AbortController();
    let seen = 0;
    const values = listOf(open({ signal: waiting.signal }), () => {
      seen += 1;
    });
    await vi.waitFor(() => expect(seen).toBeGreaterThan(0), { timeout: 10_000 });
    waiting.abort(new Error('enough'));
    expect((await values).length).toBeGreaterThan(0);

    const first = new AbortController();
    expect(await listOf(open({ signal: first.signal }), () => first.abort())).toHaveLength(1);
  });

  test('rejects get and outcome with its reason, before and while they wait', async () => {
    const { run, job } = await underWay();
    for (const result of [run, job]) {
      for (const wait of ['get', 'outcome'] as const) {
        const reason = new Error('enough');
        await expect(result[wait]({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
        const controller = new AbortController();
        const waiting = result[wait]({ signal: controller.signal });
        controller.abort(reason);
        await expect(waiting).rejects.toBe(reason);
      }
    }
  });

  test('does the same to the handle of an empty group, which has its result', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', run: async () => 1 });
    const nothing = await group([task.s()].slice(1)).delay();
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    await expect(nothing.get({ signal })).rejects.toBe(reason);
    await expect(nothing.outcome({ signal })).rejects.toBe(reason);
    expect(await nothing.get()).toEqual([]);
    for (const open of ['members', 'collect', 'progress'] as const)
      expect(await listOf(nothing[open]({ signal }))).toEqual([]);
  });

  test.each(STORED)('hides no other end of a wait: %s', async (_, of) => {
    const { app, run, job } = await underWay();
    const { signal } = new AbortController();
    await expect(listOf(of(app, run, job)({ signal, timeout: 1 }))).rejects.toThrow(TimeoutError);
    const none = app.result('none');
    await expect(listOf(of(app, none, none)({ signal }))).rejects.toThrow(UnknownJobError);
  });
});
