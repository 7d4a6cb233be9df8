// What the search index costs: the time of a call beside one without it, with 100 under way, and the memory of the store for
// each job. Moving notes into the index is part of the memory, not of the time: workers and searches do that later.
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { inFlight } from '../run/in-flight.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { pairedRatio, summary } from '../run/statistics.mjs';

const CALLS = 1500;
const STORED = 20_000;
const silent = { info() {}, warn() {}, error() {} };
/** Most times the time of a call without the index. */
const ALLOWED = 2;

export const row = {
  title: 'the search index, beside calls without it: microseconds a call, and bytes a job',
  async measure({ quick, say }) {
    const redis = await startRedis({ durable: false });
    const client = new Redis(redis.url);
    const apps = {};
    for (const kind of ['without', 'with'])
      apps[kind] = createApp({
        name: kind,
        connection: redis.url,
        logger: silent,
        searchIndex: kind === 'with',
      });
    const tasks = {};
    for (const [kind, app] of Object.entries(apps))
      tasks[kind] = app.task({ name: 'order.charge', run: () => null });
    const memory = async () => Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))[1]);
    try {
      const us = { with: [], without: [] };
      const [warmUp, rounds] = quick ? [5, 9] : [10, 40];
      say('search-index: calls');
      for (let round = 0; round < warmUp + rounds; round += 1) {
        for (const kind of Object.keys(us)) {
          const from = performance.now();
          await inFlight(CALLS, 100, () => tasks[kind].delay());
          if (round >= warmUp) us[kind].push((1000 * (performance.now() - from)) / CALLS);
          await apps[kind].repair(); // moves what is queued
        }
      }
      say('search-index: memory');
      const bytes = {};
      for (const kind of Object.keys(us)) {
        const before = await memory();
        for (let sent = 0; sent < STORED; sent += 2000)
          await tasks[kind].sendMany(Array.from({ length: 2000 }));
        await apps[kind].repair();
        bytes[kind] = (await memory()) - before;
      }
      return {
        us: { with: summary(us.with).median, without: summary(us.without).median },
        ratio: pairedRatio(us.with, us.without).median,
        bytes: { with: bytes.with / STORED, without: bytes.without / STORED },
      };
    } finally {
      for (const app of Object.values(apps)) await app.close();
      client.disconnect();
      await redis.stop();
    }
  },
  lines({ us, ratio, bytes }) {
    return [
      `a call: ${us.with.toFixed(0)} µs with, ${us.without.toFixed(0)} µs without: ${ratio.toFixed(2)}`,
      `a waiting job of a task with one dot: ${bytes.with.toFixed(0)} bytes with, ${bytes.without.toFixed(0)} without`,
    ];
  },
  judge({ ratio }) {
    const what = 'time of a call with the search index, beside one without';
    return [{ what, reached: ratio, most: ALLOWED, unit: '×', met: ratio <= ALLOWED }];
  },
};
