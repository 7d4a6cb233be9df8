import * as z from 'zod/mini';
import type { Library } from './library.js';

interface Tree {
  value: number;
  children: Tree[];
}
const tree: z.ZodMiniType<Tree> = z.object({
  value: z.number(),
  get children() {
    return z.array(tree);
  },
});

const date = z.pipe(
  z.iso.datetime(),
  z.transform((text: string) => new Date(text)),
);

export const zodMini: Library = {
  name: 'zod/mini',
  package: 'zod',
  ways: {
    input: 'a schema',
    asynchronous: '`z.refine(async …)`',
    stripped: '`z.object`',
    kept: '`z.looseObject`',
    refused: '`z.strictObject`',
    jsonSchema: "`z.toJSONSchema(schema, { io: 'input' })`",
  },
  nested: z.object({ l: z.array(z.object({ b: z.number() })) }),
  asynchronous: z.object({ name: z.string().check(z.refine(async (name) => name !== 'taken')) }),
  keys: {
    byDefault: z.object({ a: z.number() }),
    stripped: z.object({ a: z.number() }),
    kept: z.looseObject({ a: z.number() }),
    refused: z.strictObject({ a: z.number() }),
  },
  refusedBelow: z.strictObject({ o: z.strictObject({ a: z.number() }) }),
  fixedDefault: z.object({ size: z._default(z.number(), 1) }),
  computedDefault: (next) => z.object({ id: z._default(z.string(), next) }),
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
  readonly: z.object({ list: z.readonly(z.array(z.string())) }),
  branded: z.object({ id: z.string().brand('Id') }),
  described: z.toJSONSchema(
    z.object({ text: z.string(), note: z.optional(z.string()), size: z._default(z.number(), 1), at: date }),
    { io: 'input' },
  ),
};
