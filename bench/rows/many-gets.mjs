// Many callers wait for results in one process, whose jobs end after all of them wait. The worker is a process of its own.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { startRedis } from '../run/redis-server.mjs';
import { inTurn, withProcesses } from '../run/waiting-processes.mjs';

/** How long all wait before the first job starts. */
const HELD_MS = { quick: 2000, full: 4000 };
const CPU_TIMES = 2;
const MOST_BYTES = 2048;
const MOST_COMMANDS = 50;
/** The CPU of each waiter may grow so much from the smaller to the larger number. */
const LINEAR = 1.5;

/** Commands that wait for events, look at jobs or read them. */
async function commands(redis) {
  const info = await redis.info('commandstats');
  const calls = [...info.matchAll(/^cmdstat_(?:evalsha|eval|xread|hgetall|xadd):calls=(\d+)/gm)];
  return calls.reduce((sum, [, count]) => sum + Number(count), 0);
}

export const row = {
  title: 'many callers that wait for a result each',
  async measure({ quick, say }) {
    const [counts, rounds] = quick ? [[1000, 3000], 1] : [[5000, 20_000], 2];
    const heldMs = quick ? HELD_MS.quick : HELD_MS.full;
    const server = await startRedis({ durable: false });
    const redis = new Redis(server.url);
    const one = (system, count) =>
      withProcesses(system, server.url, async (caller, worker) => {
        say(`many-gets: ${count} of ${system}`);
        const { bytes } = await caller.ask({ do: 'wait', count });
        const before = await commands(redis);
        await sleep(heldMs);
        const held = (await commands(redis)) - before;
        await worker.ask({ do: 'work' });
        const { cpuMs } = await caller.ask({ do: 'end' });
        return { cpuMs, bytes: bytes / count, held };
      });
    const told = {};
    try {
      for (const count of counts) told[count] = await inTurn(rounds, (system) => one(system, count));
      return told;
    } finally {
      redis.disconnect();
      await server.stop();
    }
  },
  lines: (told) =>
    Object.entries(told).flatMap(([count, systems]) =>
      Object.entries(systems).map(
        ([system, { cpuMs, bytes, held }]) =>
          `${Number(count).toLocaleString('en')} of ${system}: ${Math.round(cpuMs)} ms of CPU, ` +
          `${Math.round(bytes)} bytes each with its handle, ${held} commands while nothing ended`,
      ),
    ),
  judge(told) {
    const [few, many] = Object.keys(told).map(Number);
    const { umbel, bullmq } = told[many];
    const growth = umbel.cpuMs / many / (told[few].umbel.cpuMs / few);
    return [
      { what: `CPU of ${many}`, reached: umbel.cpuMs / bullmq.cpuMs, most: CPU_TIMES, unit: '× BullMQ' },
      { what: 'memory of a waiter', reached: umbel.bytes, most: MOST_BYTES, unit: 'bytes' },
      { what: `commands while ${many} wait`, reached: umbel.held, most: MOST_COMMANDS },
      { what: `CPU of a waiter, ${many} beside ${few}`, reached: growth, most: LINEAR, unit: 'times' },
    ].map((limit) => ({ ...limit, met: limit.reached <= limit.most }));
  },
};
