// What 20 tags on a call cost its sender: calls beside each other as an app makes them, and one after another. The same
// call with as many bytes in a header shows what of that is their transport. Moving tags into the index is not part of it:
// workers do that later.
import { Redis } from 'ioredis';
import { inFlight } from '../run/in-flight.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { pairedRatio, summary } from '../run/statistics.mjs';
import { open } from '../systems/umbel.mjs';

const TAGS = 20;
/** Sets of tags that are used in turn: half of their tags are others' too. */
const SETS = 4000;
const tagSets = Array.from({ length: SETS }, (_, set) =>
  Array.from({ length: TAGS }, (_, tag) =>
    tag % 2 ? `order ${set} ${tag}` : `customer ${set % 500} ${tag}`,
  ),
);
const bytes = JSON.stringify(tagSets[0]).length;

const KINDS = ['wall', 'node', 'redis'];

export const row = {
  title:
    '20 tags on a call, beside an untagged one: microseconds a call, with 100 under way and one after another',
  async measure({ quick, say }) {
    const redis = await startRedis({ durable: false });
    const client = new Redis(redis.url);
    const { app, noop, close } = open(redis.url);
    let sent = 0;
    const calls = {
      plain: () => noop.delay({ a: 1 }),
      header: () => noop.applyAsync({ a: 1 }, { headers: { note: 'x'.repeat(bytes) } }),
      tagged: () => noop.applyAsync({ a: 1 }, { tags: tagSets[sent++ % SETS] }),
    };
    const redisMs = async () => {
      const info = await client.info('cpu');
      const field = (name) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1]);
      return (field('used_cpu_user_main_thread') + field('used_cpu_sys_main_thread')) * 1000;
    };
    const figures = {};
    try {
      const ways = { 'under way': { width: 100, count: 1500 }, 'one by one': { width: 1, count: 200 } };
      const [warmUp, rounds] = quick ? [5, 9] : [10, 40];
      for (const [way, { width, count }] of Object.entries(ways)) {
        say(`tags: ${way}`);
        const measured = Object.fromEntries(Object.keys(calls).map((call) => [call, []]));
        for (let round = 0; round < warmUp + rounds; round += 1) {
          for (const [call, send] of Object.entries(calls)) {
            const before = { redis: await redisMs(), node: process.cpuUsage(), wall: performance.now() };
            await inFlight(count, width, send);
            const wall = performance.now() - before.wall;
            const { user, system } = process.cpuUsage(before.node);
            const figure = { wall, node: (user + system) / 1000, redis: (await redisMs()) - before.redis };
            if (round >= warmUp) measured[call].push(KINDS.map((kind) => (figure[kind] * 1000) / count));
            for await (const found of app.find({ tag: 'none' })) throw new Error(`found ${found.id}`); // moves what is queued
          }
        }
        const column = (call, kind) => measured[call].map((figure) => figure[kind]);
        figures[way] = Object.fromEntries(
          Object.keys(calls).map((call) => [
            call,
            Object.fromEntries(
              KINDS.map((kind, index) => [
                kind,
                {
                  us: summary(column(call, index)).median,
                  ratio: pairedRatio(column(call, index), column('plain', index)).median,
                },
              ]),
            ),
          ]),
        );
      }
    } finally {
      await close();
      client.disconnect();
      await redis.stop();
    }
    return figures;
  },
  lines: (figures) =>
    Object.entries(figures).flatMap(([way, calls]) =>
      Object.entries(calls).map(([call, kinds]) => {
        const told = KINDS.map(
          (kind) => `${kind} ${kinds[kind].us.toFixed(0)} (× ${kinds[kind].ratio.toFixed(2)})`,
        );
        return `${way}, ${call.padEnd(6)} ${told.join('  ')}`;
      }),
    ),
  judge: ({ 'under way': { tagged } }) =>
    KINDS.map((kind) => ({
      what: `${kind} of a tagged call, with 100 under way`,
      reached: tagged[kind].ratio,
      most: 1.2,
      unit: '× untagged',
      met: tagged[kind].ratio <= 1.2,
    })),
};
