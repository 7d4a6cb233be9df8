// What the turns of a long loop cost Redis: scripts and memory, near its begin and near its end.
import { loop } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { bytesOf, scriptsOf } from '../run/redis-cost.mjs';
import { startRedis } from '../run/redis-server.mjs';

const MOST_SCRIPTS = 12;
/** Of the last turns, in proportion to the first ones. */
const MOST_GROWTH = 1.1;
/** More memory at the end than near the begin: the store keeps the last five turns, whose numbers get longer. */
const MOST_BYTES = 1000;

export const row = {
  title: 'a long loop, turn by turn',
  async measure({ quick, say }) {
    const count = quick ? 1000 : 10_000;
    say(`loop-turns: ${count}`);
    const server = await startRedis({ durable: false });
    const redis = new Redis(server.url);
    const app = createApp({ name: 'turns', connection: server.url });
    const marks = [count / 10, count / 5, (count / 10) * 9, count];
    const seen = [];
    const next = app.task({
      name: 'next',
      input: z.object({ n: z.number() }),
      run: async ({ n }) => {
        if (marks.includes(n + 1))
          seen.push({ scripts: await scriptsOf(redis), bytes: await bytesOf(redis), at: performance.now() });
        return { n: n + 1 };
      },
    });
    try {
      await app.worker({ repairInterval: false }).start();
      const run = await loop(next, { until: { n: count }, max: count }).delay({ n: 0 });
      await run.get({ timeout: '30m' });
      const [early, afterEarly, late, end] = seen;
      const turns = count / 10;
      return {
        count,
        first: (afterEarly.scripts - early.scripts) / turns,
        last: (end.scripts - late.scripts) / turns,
        firstMs: (afterEarly.at - early.at) / turns,
        lastMs: (end.at - late.at) / turns,
        bytes: end.bytes - early.bytes,
      };
    } finally {
      await app.close();
      redis.disconnect();
      await server.stop();
    }
  },
  lines: ({ count, first, last, firstMs, lastMs, bytes }) => [
    `a loop of ${count.toLocaleString('en')} turns: ${first.toFixed(1)} scripts and ${firstMs.toFixed(2)} ms a turn ` +
      `in its second tenth, ${last.toFixed(1)} scripts and ${lastMs.toFixed(2)} ms in its last; ` +
      `${Math.round(bytes)} bytes more in Redis at its end than after a tenth`,
  ],
  judge: ({ first, last, bytes }) =>
    [
      { what: 'scripts of a turn', reached: last, most: MOST_SCRIPTS },
      { what: 'scripts of a late turn, of an early one', reached: last / first, most: MOST_GROWTH },
      { what: 'memory of nine tenths of the turns', reached: bytes, most: MOST_BYTES, unit: 'bytes' },
    ].map((limit) => ({ ...limit, met: limit.reached <= limit.most })),
};
