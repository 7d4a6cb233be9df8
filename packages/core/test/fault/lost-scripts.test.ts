import { chain, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { startRedis } from '../../../../test/support/redis-server.js';

test('a Redis that loses its scripts again and again loses no workflow, and no part of one', async () => {
  const server = await startRedis();
  const admin = new Redis(server.url);
  const app = createApp({
    name: 'scripts',
    connection: server.url,
    logger: { info() {}, warn() {}, error() {} },
  });
  const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
  const late = chain(
    group([double.set({ priority: 3 }), double.set({ countdown: 5 }), double]),
    app.task({
      name: 'sum',
      input: z.array(z.number()),
      run: async (all) => all.reduce((a, b) => a + b, 0),
    }),
  );
  await app.worker().start();
  let flushes = 0;
  let isOver = false;
  const flushing = (async () => {
    while (!isOver) {
      await admin.script('FLUSH');
      flushes += 1;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();
  const runs = [];
  for (let n = 0; n < 150; n += 1) runs.push(await late.delay(n));
  const many = await double.sendMany(Array.from({ length: 50 }, (_, n) => n));
  const values = await Promise.all(runs.map((run) => run.get({ timeout: '50s' })));
  expect(values).toEqual(Array.from({ length: 150 }, (_, n) => 6 * n));
  expect(await many[49]?.get({ timeout: '50s' })).toBe(98);
  isOver = true;
  await flushing;
  expect(flushes).toBeGreaterThan(50);
  expect(await app.repair()).toMatchObject({ started: 0, lost: 0, ended: 0 });
  await app.close();
  admin.disconnect();
  await server.stop();
});
