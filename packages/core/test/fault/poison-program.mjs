// A worker process that jobs may end: `node poison-program.mjs <redis url> <app name> <lock in ms>`. It runs what was built.
import { setTimeout as pause } from 'node:timers/promises';
import { createApp } from '@umbel/core';
import { z } from 'zod';

const [url, name, lockMs] = process.argv.slice(2);
const print = (line) => process.stdout.write(`${JSON.stringify({ pid: process.pid, ...line })}\n`);
const quiet = { info() {}, warn() {}, error: (text) => print({ error: String(text) }) };
const app = createApp({ name, connection: url, logger: quiet });

app.task({
  name: 'work',
  input: z.object({ ms: z.number() }),
  run: async ({ ms }, ctx) => {
    print({ started: ctx.id });
    await pause(ms);
    print({ ended: ctx.id });
    return process.pid;
  },
});

app.task({
  name: 'poison',
  input: z.enum(['exit', 'abort', 'memory', 'loop']),
  run: async (how, ctx) => {
    print({ started: ctx.id });
    const held = [];
    switch (how) {
      case 'exit':
        return process.exit(7);
      case 'abort':
        return process.abort();
      case 'memory':
        for (;;) held.push(Array.from({ length: 100_000 }, () => ({ of: held.length })));
      case 'loop':
        for (;;);
    }
  },
});

await app.worker({ lockDuration: Number(lockMs), concurrency: 20 }).start();
print({ ready: true });
// Whoever looks after the process sees that its event loop turns.
setInterval(() => print({ alive: true }), 250);
