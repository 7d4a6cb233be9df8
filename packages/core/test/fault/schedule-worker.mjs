// A worker process to be killed: `node schedule-worker.mjs <redis url> <app name> <ledger file> <start> <slots> <schedules>`.
// It runs what was built.
import { appendFileSync } from 'node:fs';
import { createApp } from '@umbel/core';

const [url, name, ledger, start, slots, schedules] = process.argv.slice(2);
const quiet = { info() {}, warn() {}, error() {} };
const app = createApp({ name, connection: url, logger: quiet });

const tick = app.task({
  name: 'tick',
  run: async (_, ctx) => {
    const { 'umbel-schedule': schedule, 'umbel-scheduled-at': slot } = ctx.headers;
    // A line in a file survives the process that wrote it.
    appendFileSync(ledger, `${JSON.stringify({ schedule, slot, id: ctx.id, pid: process.pid })}\n`);
    return null;
  },
});

const first = Number(start);
for (let n = 0; n < Number(schedules); n += 1) {
  app.schedule(
    `tick-${n}`,
    {
      every: '1s',
      start: new Date(first),
      end: new Date(first + (Number(slots) - 1) * 1000),
      overlap: 'allow',
      catchUp: 'skip',
    },
    tick,
  );
}

await app.worker({ concurrency: 5, lockDuration: '1s' }).start();
console.log('ready');
