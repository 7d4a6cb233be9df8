// What it takes to open an app, use it once and close it, beside BullMQ's own classes that do the same: what a serverless
// sender, a command of the command line and each test pay. In one process, in turn, so that nothing is loaded meanwhile.
import { createApp } from '@umbel/core';
import { Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { startRedis } from '../run/redis-server.mjs';
import { pairedRatio, summary } from '../run/statistics.mjs';

/** Openings of a round, one after the other. */
const OPENINGS = 10;
/** Processor time of Umbel in times of BullMQ's. A worker of Umbel serves its internal queue too, and messages to workers. */
const MOST_TIMES = { 'one send': 1.5, 'a worker, one job and its result': 2 };

const quiet = { info() {}, warn() {}, error: console.error };
const openApp = (url, name) => {
  const app = createApp({ name, connection: url, logger: quiet });
  return { app, noop: app.task({ name: 'noop', run: async () => null }) };
};

const KINDS = {
  'one send': {
    async umbel(url, name) {
      const { app, noop } = openApp(url, name);
      await noop.delay();
      await app.close();
    },
    async bullmq(url, name) {
      const queue = new Queue(name, { connection: { url } });
      await queue.add('noop', {});
      await queue.close();
    },
  },
  'a worker, one job and its result': {
    async umbel(url, name) {
      const { app, noop } = openApp(url, name);
      const worker = await app.worker({ handleSignals: false }).start();
      await (await noop.delay()).get();
      await worker.close();
      await app.close();
    },
    async bullmq(url, name) {
      const connection = { url };
      const queue = new Queue(name, { connection });
      const events = new QueueEvents(name, { connection });
      const worker = new Worker(name, async () => null, { connection });
      await Promise.all([events.waitUntilReady(), worker.waitUntilReady()]);
      await (await queue.add('noop', {})).waitUntilFinished(events);
      await worker.close();
      await events.close();
      await queue.close();
    },
  },
};

export const row = {
  title: 'an app or a queue is opened, used once and closed',
  async measure({ quick, say }) {
    const rounds = quick ? 3 : 15;
    const redis = await startRedis({ durable: false });
    const client = new Redis(redis.url);
    const figures = {};
    let opened = 0;
    const round = async (open) => {
      const before = await statsOf(client);
      const cpu = process.cpuUsage();
      const startedAt = performance.now();
      for (let time = 0; time < OPENINGS; time += 1) await open(redis.url, `opening-${opened++}`);
      const { user, system } = process.cpuUsage(cpu);
      const wallMs = performance.now() - startedAt;
      const after = await statsOf(client);
      const each = Object.entries(after).map(([name, count]) => [name, (count - before[name]) / OPENINGS]);
      return {
        cpuMs: (user + system) / 1000 / OPENINGS,
        wallMs: wallMs / OPENINGS,
        ...Object.fromEntries(each),
      };
    };
    try {
      for (const [kind, systems] of Object.entries(KINDS)) {
        const told = { umbel: [], bullmq: [] };
        for (let done = -1; done < rounds; done += 1) {
          for (const [system, open] of Object.entries(systems)) {
            const figure = await round(open);
            if (done >= 0) told[system].push(figure); // the first one loads modules
          }
        }
        const of = (system, fact) => told[system].map((figure) => figure[fact]);
        const medians = (system) =>
          Object.fromEntries(
            Object.keys(told[system][0]).map((fact) => [fact, summary(of(system, fact)).median]),
          );
        const times = pairedRatio(of('umbel', 'cpuMs'), of('bullmq', 'cpuMs')).median;
        figures[kind] = { umbel: medians('umbel'), bullmq: medians('bullmq'), times };
        say(`opening: ${kind}`);
      }
    } finally {
      client.disconnect();
      await redis.stop();
    }
    return figures;
  },
  lines: (figures) =>
    Object.entries(figures).flatMap(([kind, { times, ...systems }]) => [
      `${kind}: ${times.toFixed(2)} × the processor time of BullMQ`,
      ...Object.entries(systems).map(
        ([system, { cpuMs, wallMs, ...counts }]) =>
          `    ${system.padEnd(7)} ${cpuMs.toFixed(1).padStart(6)} ms of CPU, ${wallMs.toFixed(0).padStart(5)} ms, ${Object.entries(
            counts,
          )
            .map(([name, count]) => `${count.toFixed(1)} ${name}`)
            .join(', ')}`,
      ),
    ]),
  judge: (figures) =>
    Object.entries(figures).map(([kind, { times }]) => {
      const most = MOST_TIMES[kind];
      const what = `processor time of ${kind}, beside BullMQ`;
      return { what, reached: times, most, unit: '×', met: times <= most };
    }),
};

/** What clients have asked of the server so far. Reading it is counted too, in both systems. */
async function statsOf(client) {
  const [stats, commands] = [await client.info('stats'), await client.info('commandstats')];
  const calls = (name) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(commands)?.[1] ?? 0);
  return {
    connections: Number(/total_connections_received:(\d+)/.exec(stats)?.[1]),
    'bytes sent': Number(/total_net_input_bytes:(\d+)/.exec(stats)?.[1]),
    'script texts': calls('eval'),
    'INFO commands': calls('info'),
  };
}
