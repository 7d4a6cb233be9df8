// What waits for signals cost Redis: memory while they wait, and scripts to begin, to wait and to be decided.
import { setTimeout as sleep } from 'node:timers/promises';
import { map, waitFor } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { bytesOf, scriptsOf } from '../run/redis-cost.mjs';
import { startRedis } from '../run/redis-server.mjs';

const HELD_MS = 5000;
const MOST_BYTES = 3500;
const MOST_SCRIPTS = 16;
/** Of an idle worker too: it asks for jobs, and reads its own record. */
const MOST_HELD = 100;
/** Signals that are sent at the same time. */
const AT_ONCE = 100;

export const row = {
  title: 'workflows that wait for signals, all at once',
  async measure({ quick, say }) {
    const count = quick ? 1000 : 10_000;
    say(`signal-waits: ${count}`);
    const server = await startRedis({ durable: false });
    const redis = new Redis(server.url);
    const app = createApp({ name: 'waits', connection: server.url });
    const decided = app.signal({ name: 'decided', payload: z.object({ ok: z.boolean() }) });
    try {
      // Without the periodic repair, which checks up to 100 waiting parents of a queue, however many there are.
      await app.worker({ concurrency: 50, repairInterval: false }).start();
      const before = { bytes: await bytesOf(redis), scripts: await scriptsOf(redis) };
      const inputs = Array.from({ length: count }, (_, n) => ({ id: `wait-${n}` }));
      const started = performance.now();
      const run = await map(waitFor(decided, { key: 'id', timeout: '7d' }), inputs).delay();
      const delayed = `umbel:{waits}:umbel:delayed`;
      while ((await redis.zcard(delayed)) < count) await sleep(50);
      const beginMs = performance.now() - started;
      const begun = { bytes: await bytesOf(redis), scripts: await scriptsOf(redis) };
      await sleep(HELD_MS);
      const held = await scriptsOf(redis);
      const deciding = performance.now();
      for (let first = 0; first < count; first += AT_ONCE) {
        const keys = inputs.slice(first, first + AT_ONCE);
        await Promise.all(keys.map(({ id }) => decided.send(id, { ok: true })));
      }
      await run.get({ timeout: '10m' });
      const decideMs = performance.now() - deciding;
      return {
        count,
        bytes: (begun.bytes - before.bytes) / count,
        begin: (begun.scripts - before.scripts) / count,
        held: held - begun.scripts,
        decide: ((await scriptsOf(redis)) - held) / count,
        beginMs: beginMs / count,
        decideMs: decideMs / count,
      };
    } finally {
      await app.close();
      redis.disconnect();
      await server.stop();
    }
  },
  lines: ({ count, bytes, begin, held, decide, beginMs, decideMs }) => [
    `${count.toLocaleString('en')} waits of one run: ${Math.round(bytes)} bytes each, ` +
      `${begin.toFixed(1)} scripts and ${beginMs.toFixed(2)} ms to begin, ` +
      `${decide.toFixed(1)} scripts and ${decideMs.toFixed(2)} ms to be decided, ` +
      `${held} scripts in ${HELD_MS / 1000} s while all wait`,
  ],
  judge: ({ bytes, begin, held, decide }) =>
    [
      { what: 'memory of a wait', reached: bytes, most: MOST_BYTES, unit: 'bytes' },
      { what: 'scripts of a wait', reached: begin + decide, most: MOST_SCRIPTS },
      { what: 'scripts while all wait', reached: held, most: MOST_HELD },
    ].map((limit) => ({ ...limit, met: limit.reached <= limit.most })),
};
