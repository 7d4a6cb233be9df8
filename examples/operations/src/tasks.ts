/** The tasks and the schedule of a small shop, shared by its workers and by whoever looks after them. */
import { chain } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { z } from 'zod';

export const app = createApp({ name: process.env.SHOP ?? 'shop' }); // its store: UMBEL_URL

export const charge = app.task({
  name: 'order.charge',
  queue: 'orders',
  input: z.object({ order: z.number(), cents: z.number() }),
  run: async ({ order, cents }) => {
    if (cents <= 0) throw new Error(`order ${order} costs nothing`);
    return { order, cents };
  },
});

const ship = app.task({
  name: 'order.ship',
  queue: 'orders',
  input: z.object({ order: z.number(), cents: z.number() }),
  run: async ({ order }) => `order ${order} is on its way`,
});

export const fulfil = chain(charge, ship);

const countStock = app.task({
  name: 'stock.count',
  run: async (_input, ctx) => ({ slot: ctx.headers['umbel-scheduled-at'], by: process.pid }),
});

export const stockCount = app.schedule('stock-count', { every: '1s', overlap: 'allow' }, countStock.si());
