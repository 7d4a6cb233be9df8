// Umbel on several stores: `npm run bench:stores -- redis://127.0.0.1:6379 postgres://user@host/db pglite:./new-folder
// [--rounds 3] [--json]`. In each round every store gets a process of its own, in turn. See README.md.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chord, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { z } from 'zod';

const LATENCY_CALLS = 200;
const TASKS = 1000;

/** Figures of one process, by title. Smaller is better for each. */
const TITLES = {
  get: `one task, from delay() to get(), median of ${LATENCY_CALLS} (ms)`,
  tasks: `${TASKS} tasks, sendMany() to the last result (ms)`,
  chord: `a chord of ${TASKS}, delay() to get() (ms)`,
};

const since = (start) => performance.now() - start;
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

async function measure(connection) {
  const quiet = { info() {}, warn() {}, error() {} };
  const app = createApp({ name: `bench-${process.pid}`, connection, logger: quiet });
  const same = app.task({ name: 'same', input: z.object({ n: z.number() }), run: ({ n }) => n });
  const sum = app.task({
    name: 'sum',
    input: z.array(z.number()),
    run: (all) => all.reduce((total, n) => total + n, 0),
  });
  await app.worker({ concurrency: 50 }).start();
  await (await same.delay({ n: 0 })).get();
  const latencies = [];
  for (let n = 0; n < LATENCY_CALLS; n += 1) {
    const start = performance.now();
    await (await same.delay({ n })).get();
    latencies.push(since(start));
  }
  const inputs = Array.from({ length: TASKS }, (_, n) => ({ n }));
  let start = performance.now();
  const sent = await same.sendMany(inputs);
  await Promise.all(sent.map((result) => result.get({ timeout: '5m' })));
  const tasks = since(start);
  start = performance.now();
  await (await chord(group(inputs.map((input) => same.s(input))), sum).delay()).get({ timeout: '5m' });
  const figures = { get: median(latencies), tasks, chord: since(start) };
  await app.close();
  return figures;
}

if (process.send !== undefined) {
  process.send(await measure(process.argv[2]));
  process.disconnect();
} else {
  const { values, positionals: stores } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: 'string', default: '3' }, json: { type: 'boolean', default: false } },
  });
  if (stores.length === 0) throw new Error('expected the URLs of one or more stores, got none');
  const rounds = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const store of stores) {
      const child = fork(fileURLToPath(import.meta.url), [store]);
      const [figures] = await once(child, 'message');
      await once(child, 'exit');
      rounds.push({ store, ...figures });
    }
  }
  const rows = Object.entries(TITLES).map(([figure, title]) => ({
    title,
    stores: stores.map((store) => ({
      store,
      ms: median(rounds.filter((each) => each.store === store).map((each) => each[figure])),
    })),
  }));
  if (values.json)
    console.log(JSON.stringify({ node: process.version, cores: cpus().length, rows }, null, 2));
  else {
    for (const { title, stores: figures } of rows) {
      console.log(title);
      for (const { store, ms } of figures)
        console.log(`  ${ms.toFixed(1).padStart(9)}  × ${(ms / figures[0].ms).toFixed(1)}  ${store}`);
    }
  }
}
