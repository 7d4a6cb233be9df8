import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

export const app = createApp({ name: 'nextjs-producer', connection: process.env.UMBEL_URL || memory() });

export const thumbnailInput = z.object({ file: z.string().endsWith('.png'), width: z.int().default(320) });

export const makeThumbnail = app.defineTask({
  name: 'thumbnail.make',
  input: thumbnailInput,
  output: z.object({ file: z.string() }),
});
