import { createApp, isUmbelError } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

// On the Redis of UMBEL_URL, if there is one; else in the memory of this process.
const app = createApp({ name: 'first-task', connection: process.env.UMBEL_URL || memory() });

const invoice = app.task({
  name: 'invoice.total',
  input: z.object({ customer: z.string(), cents: z.array(z.int()), currency: z.string().default('EUR') }),
  run: async ({ customer, cents, currency }) => {
    const total = cents.reduce((sum, each) => sum + each, 0);
    return { customer, text: `${(total / 100).toFixed(2)} ${currency}` };
  },
});

const worker = await app.worker().start(); // usually in a process of its own
console.log('serving', worker.queues);

const result = await invoice.delay({ customer: 'Ada', cents: [1250, 499] });
const { customer, text } = await result.get({ timeout: '30s' }); // typed by what `run` returns
console.log(`${customer} owes ${text}`);
console.log('state:', await result.state());

const wrong = JSON.parse('{ "customer": "Bob", "cents": ["free"] }');
try {
  await invoice.delay(wrong); // checked before anything is stored
} catch (error) {
  if (!isUmbelError(error, 'VALIDATION')) throw error;
  console.log(error.message);
}

await app.close();
