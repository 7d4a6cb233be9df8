import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chain, map } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';

const app = createApp({ name: 'map-over-files', connection: process.env.UMBEL_URL || memory() });

const listFiles = app.task({
  name: 'folder.list',
  input: z.object({ folder: z.string() }),
  run: async ({ folder }) => (await readdir(folder)).toSorted().map((name) => ({ folder, name })),
});

const countFile = app.task({
  name: 'file.count',
  input: z.object({ folder: z.string(), name: z.string() }), // an address, since texts can be long
  run: async ({ folder, name }) => {
    const text = await readFile(`${folder}/${name}`, 'utf8');
    return { name, lines: text.split('\n').length - 1, words: text.match(/\p{L}+/gu)?.length ?? 0 };
  },
});

const table = app.task({
  name: 'folder.table',
  input: z.array(z.object({ name: z.string(), lines: z.int(), words: z.int() })),
  run: async (files) => [
    ...files.map(({ name, lines, words }) => `${name.padEnd(12)} ${lines} lines, ${words} words`),
    `${files.length} files, ${files.reduce((sum, { words }) => sum + words, 0)} words`,
  ],
});

// How many files there are is known when the first step has run.
const report = chain(listFiles, map(countFile), table);

await app.worker({ concurrency: 4 }).start(); // at most 4 files at a time
const folder = process.argv[2] ?? fileURLToPath(new URL('../texts', import.meta.url));
const run = await report.delay({ folder });
for (const line of await run.get()) console.log(line);
await app.close();
