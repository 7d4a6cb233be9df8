// How much memory Redis needs for a run of three steps while it is kept: its keys and its places in sets, without the
// events, of which the last 10,000 are there at most.
import { chain } from '@umbel/canvas';
import { Redis } from 'ioredis';
import { startRedis } from '../run/redis-server.mjs';
import { summary } from '../run/statistics.mjs';
import * as bullmq from '../systems/bullmq.mjs';
import * as umbel from '../systems/umbel.mjs';

const STEPS = 3;
/** With the keys of a run, tables of Redis are doubled now and then: the median of so many parts is not one of those. */
const PARTS = 5;

const systems = {
  async umbel(url) {
    const { increment, start, close } = umbel.open(url);
    await start();
    const later = Array.from({ length: STEPS - 1 }, () => increment);
    return { run: async () => (await chain(increment.s({ n: 0 }), ...later).delay()).get(), close };
  },
  async bullmq(url) {
    const own = bullmq.open(url);
    await own.start();
    const flows = await own.flows();
    return { run: () => flows.run(bullmq.chainOf(own.name, STEPS)), close: () => own.close() };
  },
};

/** Bytes that Redis uses, without events and the buffers of connections; and keys. */
async function memoryOf(client) {
  const info = await client.info('memory');
  const field = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
  let events = 0;
  for (const key of await client.keys('*:events')) events += await client.memory('USAGE', key, 'SAMPLES', 0);
  return { bytes: field('used_memory') - field('mem_clients_normal') - events, keys: await client.dbsize() };
}

export const row = {
  title: 'memory of Redis for a run of three steps that is kept',
  async measure({ quick, say }) {
    const runs = quick ? 200 : 1000;
    const figures = {};
    for (const [name, open] of Object.entries(systems)) {
      say(`kept-run: ${name}`);
      const redis = await startRedis({ durable: false });
      const client = new Redis(redis.url);
      const own = await open(redis.url);
      const measured = { bytes: [], keys: [] };
      try {
        for (let run = 0; run < runs / 2; run += 1) await own.run(); // sets have their usual encoding
        for (let part = 0; part < PARTS; part += 1) {
          const before = await memoryOf(client);
          for (let run = 0; run < runs; run += 1) await own.run();
          const after = await memoryOf(client);
          for (const kind of ['bytes', 'keys']) measured[kind].push((after[kind] - before[kind]) / runs);
        }
      } finally {
        await own.close();
        client.disconnect();
        await redis.stop();
      }
      figures[name] = { bytes: summary(measured.bytes).median, keys: summary(measured.keys).median };
    }
    return figures;
  },
  lines: (figures) =>
    Object.entries(figures).map(
      ([name, { bytes, keys }]) =>
        `${name.padEnd(6)} ${(bytes / 1000).toFixed(2)} KB in ${Math.round(keys)} keys`,
    ),
  judge: ({ umbel: own }) => [
    { what: 'a run of three', reached: own.bytes / 1000, most: 4.5, unit: 'KB', met: own.bytes <= 4500 },
  ],
};
