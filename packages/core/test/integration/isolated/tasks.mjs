// Tasks that the tests run in child processes. A child runs what was built.
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { createApp, UnrecoverableError } from '@umbel/core';
import { z } from 'zod';

const app = createApp({ name: 'isolated' });

/** @param {object} definition */
const task = (definition) => app.task({ isolate: import.meta.url, ...definition });

task({ name: 'pid', run: () => process.pid });

task({ name: 'late-pid', run: () => delay(50, process.pid) });

app.implement(app.defineTask({ name: 'implemented' }), () => process.pid, { isolate: import.meta.url });

task({
  name: 'note-exit',
  input: z.string(),
  run: (file) => {
    process.once('exit', () => writeFileSync(file, ''));
    setInterval(() => {}, 1_000); // keeps a process alive that does not end itself
  },
});

task({
  name: 'wait',
  input: z.string(),
  run: async (file, ctx) => {
    await ctx.progress(process.pid);
    while (!existsSync(file)) await delay(10);
  },
});

task({
  name: 'day',
  input: z.object({ at: z.string().transform((text) => new Date(text)) }),
  output: z.date().transform((date) => date.toISOString()),
  run: ({ at }) => new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate())),
});

task({
  name: 'context',
  run: async (_input, ctx) => {
    const { id, name, queue, attempt, rootId, headers, idempotencyKey, signal, tenant } = ctx;
    const startedAt = ctx.now();
    await ctx.sleep(20);
    const client = await Promise.resolve()
      .then(() => ctx.client)
      .catch(({ message }) => message);
    return {
      ...{ id, name, queue, attempt, rootId, headers, idempotencyKey, tenant, client },
      aborted: signal.aborted,
      slept: ctx.now() - startedAt,
      sentBefore: startedAt - ctx.enqueuedAt.getTime(),
    };
  },
});

task({
  name: 'report',
  input: z.object({ end: z.string(), secret: z.string() }),
  progress: z.object({ done: z.number() }),
  states: ['copying'],
  run: async ({ end, secret }, ctx) => {
    ctx.log.warn(`key ${secret}`, { part: 1 });
    ctx.log.info('halfway', new Error('not bad'));
    const refused = await ctx.progress({ done: 'half' }).catch((error) => error);
    const unknown = await ctx.setState('flying').catch((error) => error);
    await ctx.progress({ done: 5 });
    await ctx.setState('copying');
    while (!existsSync(end)) await delay(10);
    return [refused.name, refused.issues[0].path, unknown.name, unknown.code];
  },
});

task({
  name: 'late',
  run: async (_input, ctx) => {
    globalThis.late ??= ctx;
    if (globalThis.late === ctx) return 'first';
    return globalThis.late.progress(1).catch(({ name }) => name);
  },
});

task({
  name: 'spin',
  run: async (_input, ctx) => {
    await ctx.progress(process.pid);
    for (;;);
  },
});

task({
  name: 'fail',
  failures: { soldOut: z.object({ left: z.number() }) },
  run: (_input, ctx) => ctx.fail('soldOut', { left: ctx.headers.by === 'function' ? () => 2 : 2 }),
});

task({
  name: 'retry',
  run: (_input, ctx) => (ctx.attempt < 3 ? ctx.retry({ in: 5, reason: 'not yet' }) : ctx.attempt),
});

task({
  name: 'throw',
  run: () => {
    const cause = Object.assign(new Error('no such file'), { code: 'ENOENT' });
    throw new TypeError('cannot read it', { cause });
  },
});

task({ name: 'opaque', output: z.unknown(), run: () => () => 1 });

class Hopeless extends UnrecoverableError {
  name = 'Hopeless';
}

task({
  name: 'hopeless',
  run: (_input, ctx) => {
    if (ctx.headers.by === 'reject') ctx.reject('no use');
    throw new Hopeless('no use');
  },
});

task({
  name: 'give',
  input: z.enum(['function', 'url', 'map']),
  run: (kind) => ({ function: () => 1, url: new URL('https://example.org'), map: new Map() })[kind],
});

task({
  name: 'crash',
  run: async (_input, ctx) => {
    if (ctx.attempt > 1) return ctx.attempt;
    const { by } = ctx.headers;
    if (by === 'exit') process.exit(3);
    if (by === 'signal') process.kill(process.pid, 'SIGKILL');
    if (by === 'uncaught') setTimeout(() => Promise.reject(new RangeError('nobody caught me')));
    return delay(60_000);
  },
});

task({
  name: 'signals',
  run: async () => {
    process.kill(process.pid, 'SIGTERM');
    process.kill(process.pid, 'SIGINT');
    await delay(50);
    return 'alive';
  },
});
