import { chain } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { z } from 'zod';

export const app = createApp({ name: 'orders', connection: process.env.UMBEL_URL });

const order = z.object({ order: z.int() });

export const reserve = app.task({
  name: 'order.reserve',
  input: order,
  run: async ({ order }) => ({ order, shelf: `shelf ${order % 7}` }),
});

const ship = app.task({
  name: 'order.ship',
  input: z.object({ order: z.int(), shelf: z.string() }),
  run: async ({ order, shelf }) => `order ${order} left ${shelf}`,
});

/** Reserves an order, then ships it. */
export const fulfil = chain(reserve, ship);
