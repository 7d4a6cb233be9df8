// The app that the sender and the workers of a soak share.
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '@umbel/core';
import { z } from 'zod';

/** @param about What its logger is told goes to `about`: warnings and errors are counted. */
export function soakApp({ url, name, ttlMs }, about) {
  const logger = { debug() {}, info() {}, warn: about, error: about };
  const app = createApp({
    name,
    connection: url,
    resultTtl: ttlMs,
    failureTtl: ttlMs,
    queues: ['default', 'slow'],
    logger,
  });
  const number = z.object({ n: z.number() });
  const keyed = z.object({ key: z.string() });
  const work = app.task({
    name: 'work',
    input: number,
    output: z.object({ n: z.number(), text: z.string() }),
    run: async ({ n }) => ({ n: n + 1, text: 'x'.repeat(200) }),
  });
  const next = app.task({
    name: 'next',
    input: z.looseObject({ n: z.number() }),
    run: async ({ n }) => ({ n: n + 1 }),
  });
  const sum = app.task({
    name: 'sum',
    input: z.array(z.looseObject({ n: z.number() })),
    run: async (all) => all.reduce((total, { n }) => total + n, 0),
  });
  const flaky = app.task({
    name: 'flaky',
    retry: { attempts: 4, delay: 20, backoff: 'exponential' },
    input: number,
    run: async ({ n }, { attempt, log }) => {
      log.info('attempt', { attempt });
      if (attempt < 3) throw new Error(`attempt ${attempt} of ${n} fails`);
      return n;
    },
  });
  const doomed = app.task({
    name: 'doomed',
    input: z.object({ n: z.number(), isFixed: z.boolean() }),
    run: async ({ n, isFixed }) => {
      if (!isFixed) throw new RangeError(`${n} fails for good`);
      return n;
    },
  });
  const slow = app.task({
    name: 'slow',
    queue: 'slow',
    input: number,
    progress: z.object({ percent: z.number() }),
    run: async ({ n }, { progress }) => {
      for (const percent of [25, 50, 75]) {
        await progress({ percent });
        await sleep(50);
      }
      return n;
    },
  });
  const held = app.task({
    name: 'held',
    queue: 'slow',
    run: (_, { signal }) =>
      sleep(60_000, null, { signal }).catch(() => {
        throw new Error('given up');
      }),
  });
  const index = app.task({
    name: 'index',
    queue: 'slow',
    input: keyed,
    unique: { key: ({ key }) => key },
    run: async ({ key }) => key,
  });
  const save = app.task({
    name: 'save',
    queue: 'slow',
    input: keyed,
    debounce: { for: 100, key: ({ key }) => key },
    run: async ({ key }) => key,
  });
  const note = app.task({ name: 'note', input: z.unknown(), run: async () => null });
  app.schedule('each-second', { every: '1s' }, work.s({ n: 0 }));
  app.schedule('each-two-seconds', { cron: '*/2 * * * * *', overlap: 'skip' }, next.s({ n: 0 }));
  return { app, work, next, sum, flaky, doomed, slow, held, index, save, note };
}
