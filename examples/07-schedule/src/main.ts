import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

const app = createApp({ name: 'schedule', connection: process.env.UMBEL_URL || memory() });

const measure = app.task({
  name: 'station.measure',
  input: z.object({ station: z.string() }),
  run: async ({ station }, { headers }) => {
    const slot = new Date(headers['umbel-scheduled-at'] ?? ''); // when it was due, not when it runs
    return { station, isWholeSecond: slot.getMilliseconds() === 0 };
  },
});

const report = app.task({
  name: 'station.report',
  input: z.object({ to: z.string() }),
  run: async ({ to }) => `the report is on its way to ${to}`,
});

// A schedule needs a name, a rule, and a call with its whole input.
const everySecond = app.schedule('measure', { every: '1s' }, measure.si({ station: 'roof' }));
const nightly = app.schedule(
  'nightly-report',
  { cron: '0 3 * * mon-fri', tz: 'Europe/Zurich', except: { dates: ['12-25'] } },
  report.si({ to: 'ada@a.example' }),
);

await app.worker().start(); // stores the schedules, and fires what is due; so does every other worker, each slot once

for (const { name, state, target } of await app.schedules.list())
  console.log(`${name}: ${state}, calls ${target}`);

const at = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short', timeZone: 'Europe/Zurich' });
console.log(
  'the next nights:',
  (await nightly.next(3)).map((slot) => at.format(slot)),
);
console.log('now and not at night:', await (await nightly.runNow()).get());

let fired = 0;
for await (const { id } of app.events({
  from: new Date(),
  types: ['completed'],
  tasks: ['station.measure'],
})) {
  console.log('fired by the clock:', await app.result(measure, id).get());
  fired += 1;
  if (fired === 2) break;
}

await everySecond.pause(); // stored: no worker fires it until it is resumed
console.log('measure:', (await everySecond.info()).state);

await Promise.all([everySecond.remove(), nightly.remove()]); // only to leave nothing behind
await app.close();
