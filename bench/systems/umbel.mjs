// Umbel as it is used: inputs and results are validated, results are kept for a day.
import { randomUUID } from 'node:crypto';
import { createApp } from '@umbel/core';
import { z } from 'zod';
import { inFlight } from '../run/in-flight.mjs';

/** As many jobs at the same time in every system. */
export const CONCURRENCY = 100;

const quiet = { debug() {}, info() {}, warn() {}, error: console.error };

/** An app of its own, with the tasks that the rows use; nothing is sent and no worker started. */
export function open(connection, options = {}) {
  const app = createApp({ name: `bench-${randomUUID().slice(0, 8)}`, connection, logger: quiet, ...options });
  let left = Number.POSITIVE_INFINITY;
  let done = () => {};
  const ran = () => {
    left -= 1;
    if (left === 0) done();
  };
  const noop = app.task({
    name: 'noop',
    input: z.object({ a: z.number() }),
    output: z.object({ a: z.number() }),
    run: async (input) => {
      ran();
      return input;
    },
  });
  const increment = app.task({
    name: 'increment',
    input: z.object({ n: z.number() }),
    output: z.object({ n: z.number() }),
    run: async ({ n }) => ({ n: n + 1 }),
  });
  const one = app.task({ name: 'one', input: z.number(), output: z.number(), run: async (n) => n });
  const sum = app.task({
    name: 'sum',
    input: z.array(z.number()),
    output: z.number(),
    run: async (numbers) => numbers.reduce((total, n) => total + n, 0),
  });
  return {
    app,
    noop,
    increment,
    one,
    sum,
    start: (concurrency = CONCURRENCY) => app.worker({ concurrency, handleSignals: false }).start(),
    /** A worker with a process for each core, which ends with its program. */
    serve: () => app.worker({ concurrency: CONCURRENCY, processes: 'auto' }).start(),
    /** Resolves once `noop` has run so often from now on. */
    noops: (count) =>
      new Promise((resolve) => {
        left = count;
        done = resolve;
      }),
    close: () => app.close(),
  };
}

/** Sends and runs so many tasks by an app of its own, so that what is measured next is compiled code, as in a worker that has run for a while. */
export async function warmUp(connection, tasks, options) {
  const own = open(connection, options);
  const ran = own.noops(tasks);
  await inFlight(tasks, CONCURRENCY, () => own.noop.delay({ a: 1 }));
  await own.start();
  await ran;
  await own.close();
}
