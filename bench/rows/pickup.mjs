// How long a job waits for its handler at half load, in an open loop: calls come at a steady rate, however long each
// takes. From the call to the start of the handler, in one process that sends and works.
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { z } from 'zod';
import { openLoop, singleCapacity } from '../run/open-loop.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { pairedRatio, quantile, summary } from '../run/statistics.mjs';
import * as umbel from '../systems/umbel.mjs';

const QUANTILES = { p50: 0.5, p95: 0.95, p99: 0.99 };
const WARM_UP_MS = 2000;

/** Each sends a job with the time of its call, and passes the time until its handler starts to `started`. */
const systems = {
  async umbel(url, started) {
    const own = umbel.open(url);
    const task = own.app.task({
      name: 'pickup',
      input: z.object({ at: z.number() }),
      run: ({ at }) => started(performance.now() - at),
    });
    await own.start();
    return { send: () => task.delay({ at: performance.now() }), close: () => own.close() };
  },
  async bullmq(url, started) {
    const connection = { url, maxRetriesPerRequest: null };
    const kept = { removeOnComplete: { age: 86_400 } };
    const queue = new Queue('pickup', { connection });
    const run = async ({ data: { at } }) => started(performance.now() - at);
    const worker = new Worker(queue.name, run, { connection, concurrency: umbel.CONCURRENCY, ...kept });
    await worker.waitUntilReady();
    return {
      send: () => queue.add('pickup', { at: performance.now() }),
      async close() {
        await worker.close();
        await queue.close();
      },
    };
  },
};

async function latencies(open, perSecond, ms) {
  const redis = await startRedis({ durable: false });
  try {
    const waited = [];
    const own = await open(redis.url, (each) => {
      waited.push(each);
    });
    const load = openLoop(perSecond, own.send);
    await sleep(WARM_UP_MS);
    const from = waited.length;
    await sleep(ms);
    const measured = waited.slice(from);
    await load.stop();
    await own.close();
    return Object.fromEntries(
      Object.entries(QUANTILES).map(([name, part]) => [name, quantile(measured, part)]),
    );
  } finally {
    await redis.stop();
  }
}

export const row = {
  title: 'from a call to the start of its handler, at half load',
  async measure({ quick, say }) {
    const [rounds, ms] = quick ? [2, 2000] : [7, 5000];
    const perSecond = (await singleCapacity(quick)) / 2;
    const told = Object.fromEntries(Object.keys(systems).map((name) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, open] of Object.entries(systems)) {
        say(`pickup: round ${round + 1} of ${rounds}, ${name}`);
        told[name].push(await latencies(open, perSecond, ms));
      }
    }
    const of = (name, part) => told[name].map((figures) => figures[part]);
    const figures = Object.fromEntries(
      Object.keys(systems).map((name) => [
        name,
        Object.fromEntries(Object.keys(QUANTILES).map((part) => [part, summary(of(name, part)).median])),
      ]),
    );
    const times = Object.fromEntries(
      Object.keys(QUANTILES).map((part) => [part, pairedRatio(of('umbel', part), of('bullmq', part)).median]),
    );
    return { perSecond, figures, times };
  },
  lines: ({ perSecond, figures, times }) => [
    `${Math.round(perSecond)} jobs a second, half of what BullMQ sends and runs in one process`,
    ...Object.entries(figures).map(
      ([name, told]) =>
        `${name}: ${Object.entries(told)
          .map(([part, ms]) => `${part} ${ms.toFixed(2)} ms`)
          .join(', ')}`,
    ),
    `Umbel's in the same round: ${Object.entries(times)
      .map(([part, ratio]) => `${part} × ${ratio.toFixed(2)}`)
      .join(', ')}`,
  ],
};
