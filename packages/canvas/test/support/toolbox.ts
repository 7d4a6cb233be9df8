/** Small tasks whose results tell what happened to them. */
import { EventEmitter, once } from 'node:events';
import type { App } from '@umbel/core';
import { z } from 'zod';

class Boom extends Error {
  override readonly name = 'Boom';
}

/** The tasks of a test, with a record of every handler that was started. */
export function toolbox(app: App) {
  const runs: { task: string; id: string; runId: string | undefined; attempt: number }[] = [];
  const signals = new EventEmitter();
  const note = (ctx: { name: string; id: string; runId?: string; attempt: number }) =>
    runs.push({ task: ctx.name, id: ctx.id, runId: ctx.runId, attempt: ctx.attempt });
  return {
    runs,
    signals,
    /** How often handlers of a task were started. */
    count: (task: string) => runs.filter((run) => run.task === task).length,
    add: app.task({
      name: 'add',
      input: z.object({ x: z.number(), y: z.number() }),
      run: async ({ x, y }, ctx) => {
        note(ctx);
        return x + y;
      },
    }),
    double: app.task({
      name: 'double',
      input: z.number(),
      run: async (n, ctx) => {
        note(ctx);
        return n * 2;
      },
    }),
    sum: app.task({
      name: 'sum',
      input: z.array(z.number()),
      run: async (numbers, ctx) => {
        note(ctx);
        return numbers.reduce((total, n) => total + n, 0);
      },
    }),
    /** Gives back what it is given. */
    echo: app.task({
      name: 'echo',
      input: z.unknown(),
      run: async (value, ctx) => {
        note(ctx);
        return value;
      },
    }),
    /** Fails, whatever it is given. */
    fail: app.task({
      name: 'fail',
      input: z.unknown(),
      run: async (_value, ctx): Promise<number> => {
        note(ctx);
        throw new Boom('it went wrong');
      },
    }),
    /** Fails until its third attempt. */
    flaky: app.task({
      name: 'flaky',
      input: z.number(),
      retry: { attempts: 3, backoff: 'fixed', delay: 5 },
      run: async (n, ctx) => {
        note(ctx);
        if (ctx.attempt < 3) throw new Boom(`attempt ${ctx.attempt}`);
        return n;
      },
    }),
    /** Tells `held` when it has started and ends when `release` is told. */
    hold: app.task({
      name: 'hold',
      input: z.number(),
      run: async (n, ctx) => {
        note(ctx);
        const released = once(signals, 'release');
        signals.emit('held');
        await released;
        return n;
      },
    }),
    /** Takes nothing and gives nothing. */
    tick: app.task({
      name: 'tick',
      run: async (_input, ctx) => {
        note(ctx);
      },
    }),
  };
}

export type Toolbox = ReturnType<typeof toolbox>;
