// A worker process to be killed: `node worker.mjs <redis url> <app name> <ledger file>`. It runs what was built.
import { appendFileSync } from 'node:fs';
import { map } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { z } from 'zod';

const [url, name, ledger] = process.argv.slice(2);
const app = createApp({ name, connection: url });

/** A line in a file survives the process that wrote it. */
const note = (event) => appendFileSync(ledger, `${JSON.stringify({ ...event, pid: process.pid })}\n`);

const square = app.task({
  name: 'square',
  input: z.number(),
  run: async (n) => {
    note({ task: 'square', n });
    console.log('started');
    // Long enough that several are under way when the process is killed.
    await new Promise((resolve) => setTimeout(resolve, 10));
    return n * n;
  },
});

app.task({
  name: 'sum',
  input: z.array(z.number()),
  run: async (numbers) => {
    note({ task: 'sum', numbers });
    return numbers.reduce((total, n) => total + n, 0);
  },
});

app.task({
  name: 'squares',
  input: z.number(),
  run: async (count, ctx) => {
    note({ task: 'squares', n: count });
    return ctx.replace(
      map(
        square,
        Array.from({ length: count }, (_, n) => n),
      ),
    );
  },
});

app.task({
  name: 'grow',
  input: z.number(),
  run: async (n, ctx) => {
    note({ task: 'grow', n });
    await ctx.addToGroup(square, n);
    return n;
  },
});

app.task({
  name: 'refuse',
  input: z.unknown(),
  run: async () => {
    throw new Error('refused');
  },
});

await app.worker({ concurrency: 3, lockDuration: '1s' }).start();
console.log('ready');
