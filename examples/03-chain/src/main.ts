import { chain } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

const app = createApp({ name: 'chain', connection: process.env.UMBEL_URL || memory() });

const findOrder = app.task({
  name: 'order.find',
  input: z.object({ order: z.string() }),
  run: async ({ order }) => ({ order, items: order === 'A-2' ? [] : [1200, 300, 500] }),
});

const price = app.task({
  name: 'order.price',
  input: z.object({ order: z.string(), items: z.array(z.int()), discount: z.number() }),
  run: async ({ order, items, discount }, ctx) => {
    if (items.length === 0) return ctx.stop(`${order}: nothing to pay`); // ends the chain, with this as its result
    return Math.round(items.reduce((sum, cents) => sum + cents, 0) * (1 - discount));
  },
});

const addTax = app.task({
  name: 'order.addTax',
  input: z.object({ net: z.int(), rate: z.number() }),
  run: async ({ net, rate }) => ({ net, gross: Math.round(net * (1 + rate)) }),
});

const print = app.task({
  name: 'order.print',
  input: z.object({ title: z.string(), net: z.int(), gross: z.int() }),
  run: async ({ title, net, gross }) => `${title}: ${net} net, ${gross} gross`,
});

// What a step gives must be what the next one still needs, or this does not compile.
const bill = chain(
  findOrder, // gives { order, items }
  price.s({ discount: 0.1 }), // binds one key, and takes the others from there
  addTax.into('net', { rate: 0.2 }), // takes the whole result as one key
  print.s({ title: 'Bill' }),
);

await app.worker().start();

const run = await bill.delay({ order: 'A-1' });
console.log(await run.get());

for await (const step of run.collect()) console.log('-', step.task, step.ok ? step.value : step.error);

const empty = await bill.delay({ order: 'A-2' });
console.log(await empty.get());

const reminder = chain(bill, print.si({ title: 'Reminder', net: 0, gross: 0 })); // a chain is a step; `si` ignores what comes
console.log(await (await reminder.delay({ order: 'A-3' })).get());

await app.close();
