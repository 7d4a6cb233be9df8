// Schedules that are due at the same second: how late their tasks start, beside BullMQ's job schedulers.
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '@umbel/core';
import { Queue, Worker } from 'bullmq';
import { startRedis } from '../run/redis-server.mjs';
import { quantile } from '../run/statistics.mjs';

/** Seconds between two moments. */
const EVERY = { quick: 2, full: 4 };
const SIZES = { quick: [100], full: [100, 500] };
const ROUNDS = { quick: 1, full: 2 };
const CONCURRENCY = 50;

const silent = { info() {}, warn() {}, error() {} };

/** By how much the tasks of one moment were late; `start` stores all schedules and returns what stops it. */
async function lateness(size, everyMs, start) {
  const late = [];
  let readyAt = Number.POSITIVE_INFINITY;
  let done = () => {};
  const all = new Promise((resolve) => {
    done = resolve;
  });
  const stop = await start((slot) => {
    const now = Date.now();
    // Between these two moments each schedule has one occurrence, and all of them are stored long before.
    if (slot <= readyAt + everyMs || slot > readyAt + 2 * everyMs) return;
    late.push(now - slot);
    if (late.length === size) done();
  });
  readyAt = Date.now();
  await Promise.race([all, sleep(6 * everyMs)]);
  await stop();
  return { median: quantile(late, 0.5), p99: quantile(late, 0.99), missing: size - late.length };
}

async function ofUmbel(redis, size, every) {
  return lateness(size, every * 1000, async (told) => {
    const app = createApp({ name: `s${size}`, connection: redis.url, logger: silent });
    const task = app.task({
      name: 'task',
      run: (_, { headers }) => told(Date.parse(headers['umbel-scheduled-at'])),
    });
    for (let n = 0; n < size; n += 1) app.schedule(`s${n}`, { every: `${every}s` }, task.s());
    await app.worker({ concurrency: CONCURRENCY }).start();
    return () => app.close();
  });
}

async function ofBullmq(redis, size, every) {
  return lateness(size, every * 1000, async (told) => {
    const connection = { url: redis.url, maxRetriesPerRequest: null };
    const queue = new Queue('schedules', { connection });
    const worker = new Worker(queue.name, async ({ id }) => told(Number(id.split(':').at(-1))), {
      connection,
      concurrency: CONCURRENCY,
    });
    const names = Array.from({ length: size }, (_, n) => `s${n}`);
    await Promise.all(
      names.map((name) => queue.upsertJobScheduler(name, { pattern: `*/${every} * * * * *` })),
    );
    return async () => {
      await worker.close(true);
      await queue.close();
    };
  });
}

export const row = {
  title: 'schedules that are due at the same second: milliseconds until their tasks start',
  async measure({ quick, say }) {
    const size = quick ? 'quick' : 'full';
    const figures = {};
    for (const count of SIZES[size]) {
      const rounds = { umbel: [], bullmq: [] };
      for (let round = 0; round < ROUNDS[size]; round += 1) {
        for (const [system, measure] of [
          ['umbel', ofUmbel],
          ['bullmq', ofBullmq],
        ]) {
          const redis = await startRedis({ durable: false });
          try {
            rounds[system].push(await measure(redis, count, EVERY[size]));
          } finally {
            await redis.stop();
          }
        }
        say(
          `schedules: ${count}, round ${round + 1}: ${JSON.stringify([rounds.umbel.at(-1), rounds.bullmq.at(-1)])}`,
        );
      }
      figures[count] = Object.fromEntries(
        Object.entries(rounds).map(([system, all]) => [
          system,
          {
            median: quantile(
              all.map(({ median }) => median),
              0.5,
            ),
            p99: quantile(
              all.map(({ p99 }) => p99),
              0.5,
            ),
            missing: all.reduce((sum, { missing }) => sum + missing, 0),
          },
        ]),
      );
    }
    return figures;
  },
  lines(figures) {
    return Object.entries(figures).flatMap(([count, systems]) =>
      Object.entries(systems).map(
        ([system, { median, p99, missing }]) =>
          `${count} schedules, ${system}: median ${Math.round(median)} ms, p99 ${Math.round(p99)} ms late, ${missing} missing`,
      ),
    );
  },
  judge(figures) {
    return Object.entries(figures).flatMap(([count, { umbel, bullmq }]) =>
      ['median', 'p99'].map((what) => ({
        what: `${count} schedules, ${what} late`,
        reached: umbel[what],
        most: bullmq[what],
        unit: 'ms',
        met: umbel.missing === 0 && umbel[what] <= bullmq[what],
      })),
    );
  },
};
