/** What Redis stores of a run that has ended and is kept. */
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { expect, inject, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { chain } from '../../src/index.js';

test('of three steps it is small: what can be packed is packed', async () => {
  const url = inject('redisUrl');
  const logger = { info() {}, warn() {}, error() {} };
  const app = createApp({ name: `kept-${crypto.randomUUID().slice(0, 8)}`, connection: url, logger });
  const redis = new Redis(url);
  onTestFinished(async () => {
    await app.close();
    const keys = await redis.keys(`umbel:{${app.name}}:*`);
    if (keys.length > 0) await redis.unlink(keys);
    redis.disconnect();
  });
  const number = z.object({ n: z.number() });
  const increment = app.task({
    name: 'increment',
    input: number,
    output: number,
    run: async ({ n }) => ({ n: n + 1 }),
  });
  await app.worker({ heartbeat: false }).start();
  const result = await chain(increment.s({ n: 0 }), increment, increment).delay();
  expect(await result.get()).toEqual({ n: 3 });
  const keys = (await redis.keys(`umbel:{${app.name}}:*`)).filter((key) => key.includes(result.id));
  const stored = await Promise.all(
    keys.map(async (key) => ({
      key: key.slice(`umbel:{${app.name}}:`.length).replace(result.id, 'id'),
      encoding: await redis.object('ENCODING', key),
      bytes: Number(await redis.memory('USAGE', key, 'SAMPLES', 0)),
    })),
  );
  // The steps are not: BullMQ stores where their parents are, in more than 64 bytes.
  const packed = stored.filter(({ encoding }) => encoding === 'listpack').map(({ key }) => key);
  expect(packed.sort()).toEqual([
    'default:id.0-1:processed',
    'default:id.0:processed',
    'umbel:id',
    'umbel:id:processed',
  ]);
  expect(stored.length).toBe(7);
  expect(stored.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(4600);
});
