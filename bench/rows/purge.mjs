// Emptying a queue of what waits, beside BullMQ's `drain`: both on the same jobs, which BullMQ's own `addBulk` adds. Judged
// by processor time, of this process and of Redis: how long a command takes tells as well how busy the machine is.
import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { Meter } from '../run/meter.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { longestCommand } from '../run/slow-log.mjs';
import { summary } from '../run/statistics.mjs';
import { open } from '../systems/umbel.mjs';

const SIZES = { quick: [2000, 10_000], full: [20_000, 100_000] };
const ROUNDS = { quick: 7, full: 5 };
const WARM_UP = 1000;
const ADDED_AT_ONCE = 1000;

async function fill(queue, count) {
  for (let at = 0; at < count; at += ADDED_AT_ONCE) {
    const some = Array.from({ length: Math.min(ADDED_AT_ONCE, count - at) }, (_, index) => ({
      name: 'noop',
      data: { umbel: 1, input: { a: at + index } },
      opts: { jobId: randomUUID() },
    }));
    await queue.addBulk(some);
  }
}

/** What one way to empty a queue costs. */
async function measured(meter, run) {
  await meter.phase('run', run);
  const { ms, cpuMs, redisMs, commands } = meter.take().phases.run;
  return { ms, cpuMs: cpuMs + redisMs, sliceMs: redisMs / (commands.evalsha ?? 1) };
}

export const row = {
  title: 'a queue is emptied of what waits, beside drain()',
  async measure({ quick, say }) {
    const kind = quick ? 'quick' : 'full';
    const redis = await startRedis({ durable: false });
    const client = new Redis(redis.url);
    const meter = new Meter(redis.url);
    const own = open(redis.url);
    const connection = { url: redis.url };
    const mine = new Queue('default', { connection, prefix: `umbel:{${own.app.name}}` });
    const theirs = new Queue('default', { connection, prefix: 'bare' });
    try {
      const sizes = [];
      for (const size of [WARM_UP, ...SIZES[kind]]) {
        const rounds = [];
        for (let round = 0; round < ROUNDS[kind]; round += 1) {
          await fill(mine, size);
          let umbel;
          const longestMs = await longestCommand(client, async () => {
            umbel = await measured(meter, () => own.app.queue('default').purge());
          });
          await fill(theirs, size);
          const drain = await measured(meter, () => theirs.drain());
          rounds.push({ umbel, drain, longestMs });
          say(`purge: ${size} jobs, ${Math.round(umbel.ms)} ms, drain ${Math.round(drain.ms)} ms`);
        }
        const median = (of) => summary(rounds.map(of)).median;
        sizes.push({
          size,
          umbelMs: median(({ umbel }) => umbel.ms),
          drainMs: median(({ drain }) => drain.ms),
          umbelCpuMs: median(({ umbel }) => umbel.cpuMs),
          drainCpuMs: median(({ drain }) => drain.cpuMs),
          ratio: median(({ umbel, drain }) => umbel.cpuMs / drain.cpuMs),
          longestMs: Math.min(...rounds.map((round) => round.longestMs)),
          sliceMs: median(({ umbel }) => umbel.sliceMs),
        });
      }
      return { sizes: sizes.slice(1) };
    } finally {
      await Promise.all([mine.close(), theirs.close(), own.close()]);
      meter.close();
      client.disconnect();
      await redis.stop();
    }
  },
  lines({ sizes }) {
    return sizes.map(
      ({ size, umbelMs, drainMs, umbelCpuMs, drainCpuMs, sliceMs, longestMs }) =>
        `${size.toLocaleString('en')} jobs: ${Math.round(umbelMs)} ms, drain ${Math.round(drainMs)} ms; processor ` +
        `${Math.round(umbelCpuMs)} ms, drain ${Math.round(drainCpuMs)} ms; of Redis ${sliceMs.toFixed(1)} ms a slice, ` +
        `the longest took ${longestMs.toFixed(1)} ms`,
    );
  },
  judge({ sizes }) {
    const [small, large] = [sizes[0], sizes.at(-1)];
    const growth = large.umbelCpuMs / large.size / (small.umbelCpuMs / small.size);
    const limits = [
      { what: 'processor time beside drain()', reached: large.ratio, most: 2, unit: '×' },
      { what: 'processor time of Redis for a slice', reached: large.sliceMs, most: 10, unit: 'ms' },
      { what: `cost of a job at ${large.size} beside ${small.size}`, reached: growth, most: 1.5, unit: '×' },
    ];
    return limits.map((limit) => ({ ...limit, met: limit.reached <= limit.most }));
  },
};
