import { PrismaPg } from '@prisma/adapter-pg';
import { chain } from '@umbel/canvas';
import { type AsyncResult, createApp } from '@umbel/core';
import { z } from 'zod';
import { PrismaClient } from './generated/client.js';

const { UMBEL_URL = '' } = process.env;
if (!UMBEL_URL.startsWith('postgres')) throw new Error('Set UMBEL_URL=postgres://user@host/database.');

const app = createApp({ name: 'orders', connection: UMBEL_URL });
const order = z.object({ order: z.int() });
const reserve = app.task({
  name: 'order.reserve',
  input: order,
  run: async ({ order }) => ({ order, shelf: `shelf ${order % 7}` }),
});
const ship = app.task({
  name: 'order.ship',
  input: order.extend({ shelf: z.string() }),
  run: async ({ order, shelf }) => `order ${order} left ${shelf}`,
});
const fulfil = chain(reserve, ship);

const prisma = new PrismaClient({
  adapter: new PrismaPg({ connectionString: UMBEL_URL.split('?')[0] }),
});
await prisma.$executeRaw`CREATE TABLE IF NOT EXISTS example_order (id integer PRIMARY KEY)`;
await app.worker().start();

// The order and the workflow are there together.
const result = await prisma.$transaction(async (tx) => {
  await tx.order.create({ data: { id: 1 } });
  const sent = await app.in(tx).send(fulfil, { order: 1 }, { idempotencyKey: 'order 1' });
  console.log('before the commit:', await sent.state());
  return sent;
});
console.log('Prisma:', await result.get());

// A call that is sent in a transaction that is rolled back does not exist.
const never: AsyncResult<unknown>[] = [];
const failed = prisma.$transaction(async (tx) => {
  await tx.order.create({ data: { id: 2 } });
  never.push(await app.in(tx).send(reserve, { order: 2 }));
  throw new Error('sold out');
});
console.log('rolled back:', await failed.catch((error: Error) => error.message));
for (const sent of never) console.log('its call:', await sent.get().catch((error: Error) => error.name));
console.log('orders:', await prisma.order.count());

await prisma.$executeRaw`DROP TABLE example_order`;
await app.close();
await prisma.$disconnect();
