// No-op tasks a second, through BullMQ's own Worker, on several stores; and a workflow with hours of waits.
// `npm run bench:engine` (UMBEL_URL for another Redis than the one on this machine; `-- --jobs 20000 --rounds 5`)
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { chord } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { memory, testApp } from '@umbel/testing';
import { Queue, Worker } from 'bullmq';
import { z } from 'zod';
import { bare } from './bare-backend.mjs';

const { values } = parseArgs({
  options: { jobs: { type: 'string', default: '20000' }, rounds: { type: 'string', default: '5' } },
});
const jobs = Number(values.jobs);
const rounds = Number(values.rounds);
const url = process.env.UMBEL_URL ?? 'redis://127.0.0.1:6379';
const CONCURRENCY = 100;
const KEEP = { age: 86_400 };

/** Jobs a second of bare BullMQ: added first, then timed from the worker's start to the last one. */
async function bullmq(backend) {
  const name = `bench-${randomUUID()}`;
  const connection = backend ? {} : { url };
  const queue = new Queue(name, { connection }, backend);
  for (let start = 0; start < jobs; start += 1000) {
    const count = Math.min(1000, jobs - start);
    await queue.addBulk(Array.from({ length: count }, () => ({ name: 'noop', data: { a: 1 } })));
  }
  let left = jobs;
  let done;
  const ended = new Promise((resolve) => {
    done = resolve;
  });
  const processor = async (job) => {
    left -= 1;
    if (left === 0) done();
    return job.data;
  };
  const startedAt = performance.now();
  const worker = new Worker(
    name,
    processor,
    { connection, concurrency: CONCURRENCY, removeOnComplete: KEEP },
    backend,
  );
  worker.on('error', () => {});
  await ended;
  const perSecond = jobs / ((performance.now() - startedAt) / 1000);
  await worker.close();
  if (!backend) await queue.obliterate({ force: true });
  await queue.close();
  return perSecond;
}

/** The same for Umbel, with validation on both sides. */
async function umbel(connection) {
  const app = createApp({ name: `bench-${randomUUID()}`, connection });
  let left = jobs;
  let done;
  const ended = new Promise((resolve) => {
    done = resolve;
  });
  const noop = app.task({
    name: 'noop',
    input: z.object({ a: z.number() }),
    run: async (input) => {
      left -= 1;
      if (left === 0) done();
      return input;
    },
  });
  for (let start = 0; start < jobs; start += 1000) {
    await Promise.all(Array.from({ length: Math.min(1000, jobs - start) }, () => noop.delay({ a: 1 })));
  }
  const startedAt = performance.now();
  await app.worker({ concurrency: CONCURRENCY }).start();
  await ended;
  const perSecond = jobs / ((performance.now() - startedAt) / 1000);
  await app.close();
  if (typeof connection === 'string') await removeJobs(`umbel:{${app.name}}`);
  return perSecond;
}

async function removeJobs(prefix) {
  const queue = new Queue('default', { connection: { url }, prefix });
  await queue.obliterate({ force: true });
  await queue.close();
}

/** Milliseconds for a chord of 1,000 tasks with up to a day of countdown each and some retries, in virtual time. */
async function workflow() {
  const app = createApp({ name: 'bench' });
  const double = app.task({
    name: 'double',
    input: z.number(),
    retry: { attempts: 3, delay: '1h' },
    run: async (n, { attempt }) => {
      if (n % 10 === 0 && attempt === 1) throw new Error('once');
      return n * 2;
    },
  });
  const sum = app.task({ name: 'sum', input: z.array(z.number()), run: async (ns) => ns.length });
  const t = await testApp(app);
  const startedAt = performance.now();
  await t.run(
    chord(
      Array.from({ length: 1000 }, (_, n) => double.si(n).set({ countdown: `${n % 24}h` })),
      sum,
    ),
  );
  const ms = performance.now() - startedAt;
  await t.close();
  return ms;
}

const rows = [
  ['BullMQ on a bare 60-line store', 'tasks/s', () => bullmq(bare())],
  ['BullMQ on memory()', 'tasks/s', () => bullmq(memory())],
  ['Umbel on memory()', 'tasks/s', () => umbel(memory())],
  ['BullMQ on Redis', 'tasks/s', () => bullmq()],
  ['Umbel on Redis', 'tasks/s', () => umbel(url)],
  ['1,000 tasks over virtual hours', 'ms', workflow],
];
const figures = rows.map(() => []);
for (let round = 0; round <= rounds; round += 1) {
  for (const [index, [, , run]] of rows.entries()) {
    const figure = await run();
    if (round > 0) figures[index].push(figure); // the first round warms up
  }
}
const number = (value) => Math.round(value).toLocaleString('en').padStart(9);
console.log(
  `${'median'.padStart(45)}${'min'.padStart(10)}${'max'.padStart(10)}   of ${rounds} rounds, ${jobs} jobs each`,
);
for (const [index, [name, unit]] of rows.entries()) {
  const sorted = figures[index].toSorted((a, b) => a - b);
  const line = [sorted[sorted.length >> 1], sorted[0], sorted.at(-1)].map(number).join(' ');
  console.log(`${name.padEnd(36)}${line}   ${unit}`);
}
