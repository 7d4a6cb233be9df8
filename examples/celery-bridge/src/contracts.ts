import { createApp } from '@umbel/core';
import { z } from 'zod';

export const redisUrl = process.env.UMBEL_URL || 'redis://127.0.0.1:6379';
export const app = createApp({ name: process.env.APP || 'celery-bridge', connection: redisUrl });

/** Still runs in Python. The contract is the same when it moves: only its handler changes. */
export const totalInvoice = app.defineTask({
  name: 'invoice.total',
  input: z.object({ lines: z.array(z.object({ cents: z.int(), count: z.int().min(1) })).min(1) }),
  output: z.object({ cents: z.int() }),
  timeout: '30s', // also when no Celery worker runs
  retry: { attempts: 3, delay: '1s', on: (error) => error.name === 'Busy' }, // a class of exceptions in Python
});

/** Has moved already. Celery programs send it through the bridge. */
export const sendMail = app.defineTask({
  name: 'mail.send',
  input: z.object({ to: z.email(), subject: z.string() }),
  output: z.object({ sent: z.string() }),
});
