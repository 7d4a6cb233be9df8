import { createApp, signalHandler } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

export const app = createApp({ name: 'expenses', connection: process.env.UMBEL_URL || memory() });

export const Decision = z.object({ by: z.string(), ok: z.boolean() });
export type Decision = z.infer<typeof Decision>;

/** The signal that a workflow waits for. Its key is the id of the expense. */
export const decided = app.signal({ name: 'expense.decided', payload: Decision });

/** Signs the links in mails and receives them. In production the secret comes from the environment. */
export const links = signalHandler(app, {
  secret: process.env.LINK_SECRET || 'for development only: 32 characters',
});

/** Where people reach the server. */
export const publicUrl = process.env.PUBLIC_URL || 'http://127.0.0.1:3000';
