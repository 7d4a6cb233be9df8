// The queue `mails` has moved to Umbel; `reports` comes later.
import { createApp } from '@umbel/core';
import { z } from 'zod';
import { runMail } from './legacy.js';
import { connection } from './store.js';

export const app = createApp({ name: 'adopting', connection, prefix: 'bull' }); // BullMQ's prefix: the queues that are there

export const mail = app.task({
  name: 'mail.send',
  queue: 'mails',
  input: z.object({ to: z.string(), template: z.enum(['welcome', 'goodbye']) }),
  run: async ({ to, template }) => `${template} mail to ${to}, by a task`,
});

/** Runs the tasks, and by the old function what still comes from the old code. */
export const worker = app.worker({ queues: ['mails'], onForeignJob: runMail });
