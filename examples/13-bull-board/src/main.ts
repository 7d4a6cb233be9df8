import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { HonoAdapter } from '@bull-board/hono';
import { serve } from '@hono/node-server';
import { serveStatic } from '@hono/node-server/serve-static';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { Queue } from 'bullmq';
import { Hono } from 'hono';
import { z } from 'zod';

const url = process.env.UMBEL_URL;
const store = memory();
const app = createApp({ name: 'bull-board', connection: url || store });

const ship = app.task({
  name: 'order.ship',
  queue: 'orders',
  input: z.object({ order: z.int() }),
  run: async ({ order }, ctx) => {
    ctx.log.info('looking for it in the store');
    if (order === 2) throw new Error('it is sold out');
    return `order ${order} is on its way`;
  },
});

const worker = await app.worker().start();
for (const order of [1, 2]) {
  const outcome = await (await ship.delay({ order })).outcome();
  console.log(outcome.ok ? outcome.value : outcome.error.cause.message);
}

// A queue of an app is a BullMQ queue whose prefix is the app's.
const prefix = `umbel:{${app.name}}`;
const queues = worker.queues.map((name) =>
  url ? new Queue(name, { connection: { url }, prefix }) : new Queue(name, { connection: {}, prefix }, store),
);
const board = new HonoAdapter(serveStatic).setBasePath('/board');
// Its types know queues on a Redis only, therefore `never`.
createBullBoard({ queues: queues.map((queue) => new BullMQAdapter(queue as never)), serverAdapter: board });

const server = serve(
  {
    fetch: new Hono().route('/board', board.registerPlugin()).fetch,
    hostname: '127.0.0.1',
    port: Number(process.env.PORT ?? 3000),
  },
  ({ port }) => console.log(`The board is at http://127.0.0.1:${port}/board`),
);

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    server.close();
    void Promise.all([app.close(), ...queues.map((queue) => queue.close())]);
  });
