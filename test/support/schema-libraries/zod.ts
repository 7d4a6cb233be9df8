import { z } from 'zod';
import type { Library } from './library.js';

interface Tree {
  value: number;
  children: Tree[];
}
const tree: z.ZodType<Tree> = z.object({
  value: z.number(),
  get children() {
    return z.array(tree);
  },
});

const date = z.iso.datetime().transform((text) => new Date(text));

export const zod: Library = {
  name: 'zod',
  package: 'zod',
  ways: {
    input: 'a schema',
    asynchronous: '`.refine(async …)`',
    stripped: '`z.object`',
    kept: '`z.looseObject`',
    refused: '`z.strictObject`',
    jsonSchema: 'the schema',
  },
  nested: z.object({ l: z.array(z.object({ b: z.number() })) }),
  asynchronous: z.object({ name: z.string().refine(async (name) => name !== 'taken') }),
  keys: {
    byDefault: z.object({ a: z.number() }),
    stripped: z.object({ a: z.number() }),
    kept: z.looseObject({ a: z.number() }),
    refused: z.strictObject({ a: z.number() }),
  },
  refusedBelow: z.strictObject({ o: z.strictObject({ a: z.number() }) }),
  fixedDefault: z.object({ size: z.number().default(1) }),
  computedDefault: (next) => z.object({ id: z.string().default(next) }),
  codec: z.object({ at: date }),
  number: z.object({ n: z.number() }),
  coerced: z.object({ n: z.coerce.number() }),
  union: z.object({ v: z.union([z.string(), z.number()]) }),
  tagged: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('mail'), to: z.string() }),
    z.object({ kind: z.literal('sms'), phone: z.number() }),
  ]),
  record: z.record(z.string(), z.number()),
  recursive: tree,
  readonly: z.object({ list: z.array(z.string()).readonly() }),
  branded: z.object({ id: z.string().brand('Id') }),
  described: z.object({
    text: z.string(),
    note: z.string().optional(),
    size: z.number().default(1),
    at: date,
  }),
};
