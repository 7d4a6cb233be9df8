import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

export const app = createApp({ name: 'nested-pipeline', connection: process.env.UMBEL_URL || memory() });

const photo = z.object({ file: z.string() });

export const download = app.task({
  name: 'photo.download',
  input: photo,
  retry: { attempts: 2, delay: '10ms' },
  run: async ({ file }, ctx) => {
    if (file === 'gone.png') throw new Error(`${file} is not there`);
    if (ctx.attempt === 1) throw new Error('no answer'); // the second attempt of the others succeeds
    return { file };
  },
});

export const resize = app.task({
  name: 'photo.resize',
  input: photo.extend({ width: z.int() }),
  run: async ({ file, width }) => `${width}-${file}`,
});

export const describe = app.task({
  name: 'photo.describe',
  input: photo,
  run: async ({ file }) => {
    if (file === 'fog.png') throw new Error('there is nothing to be seen');
    return `a picture of a ${file.replace('.png', '')}`;
  },
});

export const withoutText = app.task({
  name: 'photo.withoutText',
  input: z.object({ error: z.object({ message: z.string() }) }),
  run: async ({ error }) => `(no text: ${error.message})`,
});

export const publish = app.task({
  name: 'photo.publish',
  input: z.object({ sizes: z.array(z.string()), text: z.string() }),
  run: async ({ sizes, text }) => `${sizes.join(', ')}: ${text}`,
});

const outcome = z.union([
  z.object({ ok: z.literal(true), value: z.string() }),
  z.object({ ok: z.literal(false), error: z.object({ error: z.object({ message: z.string() }) }) }),
]);

export const album = app.task({
  name: 'album.print',
  input: z.object({ title: z.string(), photos: z.array(outcome) }),
  run: async ({ title, photos }) => [
    `${title}: ${photos.filter(({ ok }) => ok).length} of ${photos.length} photos`,
    ...photos.map((each) => (each.ok ? `  ${each.value}` : `  left out, ${each.error.error.message}`)),
  ],
});
