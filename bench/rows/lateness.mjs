// How late delayed jobs and the occurrences of a schedule start, with nothing else to do and at half load, beside BullMQ.
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { z } from 'zod';
import { openLoop, singleCapacity } from '../run/open-loop.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { quantile, summary } from '../run/statistics.mjs';
import * as umbel from '../systems/umbel.mjs';

const SIZES = {
  quick: { rounds: 1, delayed: 40, occurrences: 4 },
  full: { rounds: 5, delayed: 100, occurrences: 10 },
};
/** Times between two due jobs: prime numbers, so that they meet the periodic tasks of Redis at every phase. */
const APART_MS = 53;
const AHEAD_MS = 301;
const MOST_MEDIAN_MS = 5;

/** Each sends a job with a delay, keeps a schedule of every second, and sends a no-op for the load. */
const systems = {
  async umbel(url) {
    const own = umbel.open(url);
    const { app } = own;
    const listeners = { delayed() {}, scheduled() {} };
    const delayed = app.task({
      name: 'delayed',
      input: z.object({ dueAt: z.number() }),
      run: ({ dueAt }) => listeners.delayed(dueAt),
    });
    const scheduled = app.task({
      name: 'scheduled',
      run: (_, { headers }) => listeners.scheduled(Date.parse(headers['umbel-scheduled-at'])),
    });
    app.schedule('every-second', { every: '1s' }, scheduled.s());
    await own.start();
    return {
      listeners,
      noop: () => own.noop.delay({ a: 1 }),
      delay: (ms) => delayed.applyAsync({ dueAt: Date.now() + ms }, { countdown: ms }),
      close: () => own.close(),
    };
  },
  async bullmq(url) {
    const connection = { url, maxRetriesPerRequest: null };
    const queue = new Queue('lateness', {
      connection,
      defaultJobOptions: { removeOnComplete: { age: 86_400 } },
    });
    const listeners = { delayed() {}, scheduled() {} };
    const handlers = {
      delayed: ({ data: { dueAt } }) => listeners.delayed(dueAt),
      noop: ({ data }) => data,
      scheduled: ({ id }) => listeners.scheduled(Number(id.split(':').at(-1))),
    };
    const worker = new Worker(queue.name, async (job) => handlers[job.name](job), {
      connection,
      concurrency: umbel.CONCURRENCY,
    });
    await worker.waitUntilReady();
    await queue.upsertJobScheduler('every-second', { every: 1000 }, { name: 'scheduled' });
    return {
      listeners,
      noop: () => queue.add('noop', { a: 1 }),
      delay: (ms) => queue.add('delayed', { dueAt: Date.now() + ms }, { delay: ms }),
      async close() {
        await worker.close();
        await queue.close();
      },
    };
  },
};

/** How late delayed jobs and occurrences start, in milliseconds, while `perSecond` other jobs are sent each second. */
async function lateness(open, { delayed, occurrences }, perSecond) {
  const redis = await startRedis({ durable: false });
  try {
    const own = await open(redis.url);
    const load = openLoop(perSecond, own.noop);
    await sleep(1500); // connected and compiled
    const late = { delayed: [], scheduled: [] };
    const ended = withResolvers();
    const note = (kind, most) => (dueAt) => {
      if (late[kind].length < most) late[kind].push(Date.now() - dueAt);
      if (late.delayed.length === delayed && late.scheduled.length === occurrences) ended.resolve();
    };
    own.listeners.delayed = note('delayed', delayed);
    own.listeners.scheduled = note('scheduled', occurrences);
    for (let count = 0; count < delayed; count += 1) {
      await own.delay(AHEAD_MS);
      await sleep(APART_MS);
    }
    await ended.promise;
    await load.stop();
    await own.close();
    return late;
  } finally {
    await redis.stop();
  }
}

function withResolvers() {
  const all = {};
  all.promise = new Promise((resolve) => {
    all.resolve = resolve;
  });
  return all;
}

export const row = {
  title: 'lateness of delayed jobs and of a schedule, at rest and at half load',
  async measure({ quick, say }) {
    const size = SIZES[quick ? 'quick' : 'full'];
    const half = (await singleCapacity(quick)) / 2;
    const figures = { perSecond: half, loads: {} };
    for (const [load, perSecond] of Object.entries({ 'at rest': 0, 'at half load': half })) {
      const all = Object.fromEntries(
        Object.keys(systems).map((name) => [name, { delayed: [], scheduled: [] }]),
      );
      for (let round = 0; round < size.rounds; round += 1) {
        for (const [name, open] of Object.entries(systems)) {
          say(`lateness: ${load}, ${name}`);
          const late = await lateness(open, size, perSecond);
          for (const kind of Object.keys(late)) all[name][kind].push(...late[kind]);
        }
      }
      figures.loads[load] = Object.fromEntries(
        Object.entries(all).map(([name, kinds]) => [
          name,
          Object.fromEntries(
            Object.entries(kinds).map(([kind, values]) => [
              kind,
              {
                median: summary(values).median,
                p95: quantile(values, 0.95),
                earliest: Math.min(...values),
              },
            ]),
          ),
        ]),
      );
    }
    return figures;
  },
  lines: ({ perSecond, loads }) => [
    `half load: ${Math.round(perSecond)} other jobs a second`,
    ...Object.entries(loads).flatMap(([load, told]) =>
      Object.entries(told).flatMap(([name, kinds]) =>
        Object.entries(kinds).map(
          ([kind, { median, p95, earliest }]) =>
            `${load}, ${name}, ${kind}: median ${median.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms, earliest ${earliest.toFixed(1)} ms`,
        ),
      ),
    ),
  ],
  judge: ({ loads }) =>
    Object.entries(loads).flatMap(([load, { umbel }]) =>
      Object.entries(umbel).flatMap(([kind, { median, earliest }]) => [
        {
          what: `${kind} ${load}, median`,
          reached: median,
          most: MOST_MEDIAN_MS,
          unit: 'ms',
          met: median <= MOST_MEDIAN_MS,
        },
        { what: `${kind} ${load}, earliest`, reached: earliest, least: 0, unit: 'ms', met: earliest >= 0 },
      ]),
    ),
};
