// Umbel's side, with default settings: `node umbel.mjs worker`, `node umbel.mjs sender`.
import { setTimeout } from 'node:timers/promises';
import { chord } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { z } from 'zod';
import { note } from './ledger.mjs';
import { resultOf } from './plan.mjs';
import { answer } from './sender.mjs';

const app = createApp({ name: 'kills', connection: process.env.REDIS });

const step = app.task({
  name: 'step',
  input: z.object({ chord: z.number(), n: z.number(), ms: z.number() }),
  run: async ({ chord, n, ms }) => {
    note({ event: 'start', chord, n });
    await setTimeout(ms);
    note({ event: 'end', chord, n });
    return resultOf(chord, n);
  },
});

const total = app.task({
  name: 'total',
  input: z.object({ chord: z.number(), values: z.array(z.number()) }),
  run: async ({ chord, values }) => {
    const sum = values.reduce((all, value) => all + value, 0);
    note({ event: 'body', chord, sum });
    return sum;
  },
});

const STATES = { completed: 'done', failed: 'failed' };

if (process.argv[2] === 'worker') {
  await app.worker({ concurrency: Number(process.env.CONCURRENCY) }).start();
  console.log('ready');
} else {
  const sent = new Map();
  await answer({
    send: (chords) =>
      Promise.all(
        chords.map(async ({ chord: id, ms }) => {
          const header = ms.map((time, n) => step.si({ chord: id, n, ms: time }));
          sent.set(id, await chord(header, total.into('values', { chord: id })).delay());
        }),
      ).then(() => undefined),
    sendTasks: async (tasks) => {
      for (const task of tasks) sent.set(task.n, await step.delay(task));
    },
    states: async () => {
      const states = await Promise.all(
        [...sent].map(async ([id, result]) => [id, STATES[await result.state()] ?? 'open']),
      );
      return Object.fromEntries(states);
    },
  });
  await app.close();
}
