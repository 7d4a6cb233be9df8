import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

export const app = createApp({ name: 'web-app', connection: process.env.UMBEL_URL || memory() });

/** What server and worker agree on. The handler is the worker's. */
export const makeReport = app.defineTask({
  name: 'report.make',
  input: z.object({ title: z.string().min(1), sections: z.int().min(1).max(20) }),
  output: z.object({ file: z.string(), pages: z.int() }),
  progress: z.object({ done: z.int(), of: z.int() }),
});
