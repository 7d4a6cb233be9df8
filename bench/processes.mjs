// No-op tasks a second on Redis, by workers of one and of more processes.
// `npm run bench:processes` (UMBEL_URL for another Redis than the one on this machine; `-- --jobs 20000 --rounds 3`)
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createApp } from '@umbel/core';
import { Queue } from 'bullmq';
import { z } from 'zod';

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '3' },
    /** Of one worker: this program is that worker then. */
    worker: { type: 'string' },
    app: { type: 'string' },
    /** How long a handler is busy with computing. */
    busy: { type: 'string', default: '0' },
  },
});
const jobs = Number(values.jobs);
const rounds = Number(values.rounds);
const url = process.env.UMBEL_URL ?? 'redis://127.0.0.1:6379';
const quiet = { info() {}, warn() {}, error: console.error };

const open = (name) => createApp({ name, connection: url, logger: quiet });
const contract = (app) => app.defineTask({ name: 'noop', input: z.number(), output: z.number() });

async function runWorker(processes) {
  const app = open(values.app);
  const busyMs = Number(values.busy);
  app.implement(contract(app), async (n) => {
    const end = performance.now() + busyMs;
    while (performance.now() < end);
    return n;
  });
  await app.worker({ processes, concurrency: 100 }).start();
}

/** Tasks a second: all are added first, then timed from the first one that ends to the last. */
async function measure(processes, busyMs, count) {
  const app = open(`bench-${randomUUID()}`);
  const noop = contract(app);
  for (let start = 0; start < count; start += 1000) {
    const length = Math.min(1000, count - start);
    await Promise.all(Array.from({ length }, (_, n) => noop.delay(start + n)));
  }
  const args = ['--worker', `${processes}`, '--app', app.name, '--busy', `${busyMs}`];
  const worker = spawn(process.execPath, [fileURLToPath(import.meta.url), ...args], { stdio: 'inherit' });
  const queue = app.queue('default');
  const completed = async () => (await queue.counts()).completed;
  try {
    let first = 0;
    while (first === 0) first = await completed();
    const startedAt = performance.now();
    let last = first;
    while (last < count) {
      last = await completed();
      if (worker.exitCode !== null) throw new Error('the worker has ended');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return (last - first) / ((performance.now() - startedAt) / 1000);
  } finally {
    const exited = once(worker, 'exit');
    worker.kill();
    await exited;
    await app.close();
    await removeJobs(`umbel:{${app.name}}`);
  }
}

async function removeJobs(prefix) {
  const queue = new Queue('default', { connection: { url }, prefix });
  await queue.obliterate({ force: true });
  await queue.close();
}

async function main() {
  const cases = [1, 2, 4].filter((processes) => processes === 1 || processes <= availableParallelism());
  console.log(
    `${'median'.padStart(38)}${'min'.padStart(10)}${'max'.padStart(10)}   of ${rounds} rounds, tasks/s`,
  );
  for (const [title, busyMs, count] of [
    ['no-op tasks', 0, jobs],
    ['tasks that compute 1 ms', 1, Math.ceil(jobs / 5)],
  ]) {
    for (const processes of cases) {
      const figures = [];
      for (let round = 0; round < rounds; round += 1) figures.push(await measure(processes, busyMs, count));
      const sorted = figures.toSorted((a, b) => a - b);
      const line = [sorted[sorted.length >> 1], sorted[0], sorted.at(-1)].map((value) =>
        Math.round(value).toLocaleString('en').padStart(9),
      );
      console.log(`${`${title}, ${processes} of processes`.padEnd(29)}${line.join(' ')}`);
    }
  }
}

if (values.worker === undefined) await main();
else await runWorker(Number(values.worker));
