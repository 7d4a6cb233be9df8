// Umbel, bare BullMQ and pg-boss on several stores: `npm run bench:stores -- redis://127.0.0.1:6379 postgres://user@host/db
// pglite:./new-folder [--systems umbel,bullmq,pg-boss] [--rows get,chord1000] [--rounds 3] [--json]`. In each round every
// system gets a process on each store that it runs on, in turn. See README.md.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measure, runsOn, TITLES } from './stores/measure.mjs';

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Measures in this process, for the one that started it. */
async function answer([system, store, rows]) {
  const names = rows?.split(',');
  process.send(await measure(system, store, (name) => names === undefined || names.includes(name)));
  process.disconnect();
}

async function main() {
  const { values, positionals: stores } = parseArgs({
    allowPositionals: true,
    options: {
      systems: { type: 'string', default: 'umbel,bullmq,pg-boss' },
      rows: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  });
  if (stores.length === 0) throw new Error('expected the URLs of one or more stores, got none');
  const entries = stores.flatMap((store) =>
    values.systems
      .split(',')
      .filter((system) => runsOn(system, store))
      .map((system) => ({ store, system, runs: [] })),
  );
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const { store, system, runs } of entries) {
      const child = fork(fileURLToPath(import.meta.url), [
        system,
        store,
        ...(values.rows ? [values.rows] : []),
      ]);
      const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
      if (typeof message !== 'object') throw new Error(`${system} on ${store} ended with code ${message}`);
      await once(child, 'exit');
      runs.push(message);
      console.error(`round ${round + 1}: ${system} on ${store}: ${JSON.stringify(message)}`);
    }
  }
  const rows = Object.entries(TITLES).map(([figure, title]) => ({
    title,
    figures: entries
      .filter(({ runs }) => runs[0]?.[figure] !== undefined)
      .map(({ store, system, runs }) => ({ store, system, ms: median(runs.map((run) => run[figure])) })),
  }));
  if (values.json) {
    console.log(JSON.stringify({ node: process.version, cores: cpus().length, rows }, null, 2));
    return;
  }
  for (const { title, figures } of rows) {
    if (figures.length === 0) continue;
    console.log(`${title} (ms)`);
    for (const { store, system, ms } of figures) {
      const times = (ms / figures[0].ms).toFixed(2);
      console.log(`  ${ms.toFixed(1).padStart(9)}  × ${times.padStart(5)}  ${system.padEnd(7)}  ${store}`);
    }
  }
}

if (process.send === undefined) await main();
else await answer(process.argv.slice(2));
