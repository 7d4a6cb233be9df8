// How often Redis holds a payload of 500 KB that goes through a chain of three and is awaited: right after the run has
// ended, and of that in the events of queues, which outlive results. Beside it, how often it crossed the network.
import { randomBytes } from 'node:crypto';
import { chain } from '@umbel/canvas';
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { startRedis } from '../run/redis-server.mjs';
import { summary } from '../run/statistics.mjs';
import * as umbel from '../systems/umbel.mjs';

const STEPS = 3;
const BYTES = 500_000;

const systems = {
  async umbel(url) {
    const { app, start, close } = umbel.open(url);
    const value = z.object({ payload: z.string() });
    const pass = app.task({ name: 'pass', input: value, output: value, run: async (input) => input });
    await start(1);
    const later = Array.from({ length: STEPS - 1 }, () => pass);
    return { run: async (payload) => (await chain(pass.s({ payload }), ...later).delay()).get(), close };
  },
  async bullmq(url) {
    const connection = { url };
    const queue = new Queue('copies', { connection });
    const flows = new FlowProducer({ connection });
    const events = new QueueEvents('copies', { connection });
    const pass = async (job) =>
      job.data.payload === undefined ? Object.values(await job.getChildrenValues())[0] : job.data;
    const worker = new Worker('copies', pass, { connection });
    await Promise.all([worker.waitUntilReady(), events.waitUntilReady()]);
    return {
      async run(payload) {
        let step = { name: 'pass', queueName: 'copies', data: { payload } };
        for (let index = 1; index < STEPS; index += 1)
          step = { name: 'pass', queueName: 'copies', data: {}, children: [step] };
        return (await flows.add(step)).job.waitUntilFinished(events);
      },
      close: () => Promise.all([worker.close(), events.close(), flows.close(), queue.close()]),
    };
  },
};

/** Bytes in the store, of them in events, and on the network. */
async function bytesOf(client) {
  const info = await client.info();
  const field = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
  let events = 0;
  for (const key of await client.keys('*:events')) events += await client.memory('USAGE', key, 'SAMPLES', 0);
  return {
    stored: field('used_memory') - field('mem_clients_normal'),
    events,
    sent: field('total_net_input_bytes'),
    read: field('total_net_output_bytes'),
  };
}

export const row = {
  title: 'copies of a payload of 500 KB that goes through a chain of three',
  async measure({ quick, say }) {
    const rounds = quick ? 3 : 15;
    const figures = {};
    for (const [name, open] of Object.entries(systems)) {
      say(`result-copies: ${name}`);
      const redis = await startRedis({ durable: false });
      const client = new Redis(redis.url);
      const own = await open(redis.url);
      try {
        const payload = () => randomBytes(BYTES / 2).toString('hex');
        await own.run(payload()); // connects, and sends the texts of the scripts
        const copies = { stored: [], events: [], sent: [], read: [] };
        for (let round = 0; round < rounds; round += 1) {
          const given = payload();
          const before = await bytesOf(client);
          if ((await own.run(given)).payload !== given) throw new Error(`${name} gave another payload back`);
          const after = await bytesOf(client);
          for (const kind of Object.keys(copies)) copies[kind].push((after[kind] - before[kind]) / BYTES);
        }
        figures[name] = Object.fromEntries(
          Object.entries(copies).map(([kind, values]) => [kind, summary(values).median]),
        );
      } finally {
        await own.close();
        client.disconnect();
        await redis.stop();
      }
    }
    return figures;
  },
  lines: (figures) =>
    Object.entries(figures).map(
      ([name, { stored, events, sent, read }]) =>
        `${name.padEnd(6)} ${stored.toFixed(1)} copies in Redis, ${events.toFixed(1)} of them in events; ` +
        `${sent.toFixed(1)} sent, ${read.toFixed(1)} read`,
    ),
  judge: ({ umbel: own, bullmq }) => [
    {
      what: 'copies in Redis, BullMQ’s as the limit',
      reached: own.stored,
      most: bullmq.stored,
      unit: 'copies',
      met: own.stored <= bullmq.stored,
    },
    {
      what: 'copies in events',
      reached: own.events,
      most: 0.1,
      unit: 'copies',
      met: own.events <= 0.1,
    },
  ],
};
