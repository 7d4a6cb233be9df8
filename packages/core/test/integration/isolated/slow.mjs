// A module that takes longer to load than its tasks may run, or does not load at all, as a file tells.
import { setTimeout as delay } from 'node:timers/promises';
import { createApp } from '@umbel/core';

const app = createApp({ name: 'isolated' });

app.task({ name: 'pid', isolate: import.meta.url, run: () => process.pid });

app.task({
  name: 'sleep',
  isolate: import.meta.url,
  run: (_input, ctx) => ctx.sleep('1h'),
});

await delay(Number(new URL(import.meta.url).searchParams.get('ms')));
