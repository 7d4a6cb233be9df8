/** Tasks with telling types, for type tests and for the compiler's messages. They are never run. */
import { createApp, defineTask } from '@umbel/core';
import { z } from 'zod';

export const app = createApp({ name: 'types' });

export const fetchPage = app.task({
  name: 'fetchPage',
  input: z.object({ url: z.string() }),
  run: async ({ url }) => ({ path: `pages/${url}`, bytes: 1 }),
});
export const resize = app.task({
  name: 'resize',
  input: z.object({ path: z.string(), width: z.number() }),
  run: async ({ path, width }) => ({ file: path + width }),
});
export const measure = app.task({
  name: 'measure',
  input: z.object({ file: z.string() }),
  run: async () => ({ width: 1, height: 2 }),
});
export const area = app.task({
  name: 'area',
  input: z.object({ width: z.number(), height: z.number() }),
  run: async ({ width, height }) => width * height,
});
export const label = app.task({
  name: 'label',
  input: z.object({ width: z.string(), height: z.number() }),
  run: async ({ width }) => width,
});
export const add = app.task({
  name: 'add',
  input: z.object({ x: z.number(), y: z.number() }),
  run: async ({ x, y }) => x + y,
});
export const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
export const sum = app.task({ name: 'sum', input: z.array(z.number()), run: async (ns) => ns.length });
export const pair = app.task({
  name: 'pair',
  input: z.tuple([z.number(), z.string()]),
  run: async ([count, text]) => text.repeat(count),
});
export const cleanup = app.task({ name: 'cleanup', run: async () => {} });
export const greet = app.task({
  name: 'greet',
  input: z.object({ name: z.string(), greeting: z.string().optional() }),
  run: async ({ name }) => name,
});
export const parse = app.task({ name: 'parse', input: z.string(), run: async (text) => JSON.parse(text) });
export const notify = app.task({
  name: 'notify',
  input: z.discriminatedUnion('via', [
    z.object({ via: z.literal('mail'), to: z.string(), text: z.string() }),
    z.object({ via: z.literal('sms'), phone: z.number(), text: z.string() }),
  ]),
  run: async () => true,
});

export const listUrls = app.task({ name: 'listUrls', run: async () => [{ url: 'a' }] });
export const route = app.task({
  name: 'route',
  input: z.string(),
  run: async (file): Promise<{ kind: 'img'; file: string } | { kind: 'page'; url: string }> => ({
    kind: 'img',
    file,
  }),
});
export const isLarge = app.task({ name: 'isLarge', input: z.number(), run: async (n) => n > 100 });
export const alarm = app.task({
  name: 'alarm',
  input: z.object({ task: z.string(), error: z.object({ message: z.string() }) }),
  run: async ({ task }) => task,
});
export const upload = app.task({
  name: 'upload',
  input: z.object({ key: z.string() }),
  progress: z.object({ percent: z.number() }),
  failures: { gone: z.object({ key: z.string() }), full: z.object({ bytes: z.number() }) },
  states: ['uploading'],
  run: async ({ key }) => ({ etag: key }),
});

export const isoDate = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
});
export const remind = app.task({
  name: 'remind',
  input: z.object({ at: isoDate, times: z.number().default(1) }),
  run: async ({ at, times }) => at.getTime() + times,
});

export const scale = defineTask({
  name: 'scale',
  input: z.object({ file: z.string(), by: z.number().default(2) }),
  output: z.object({ file: z.string() }),
});
export const fibonacci = defineTask({ name: 'fibonacci', input: z.number(), output: z.number() });
