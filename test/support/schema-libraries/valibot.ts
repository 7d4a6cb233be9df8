import { toStandardJsonSchema } from '@valibot/to-json-schema';
import * as v from 'valibot';
import type { Library } from './library.js';

interface Tree {
  value: number;
  children: Tree[];
}
const tree: v.GenericSchema<Tree> = v.object({ value: v.number(), children: v.array(v.lazy(() => tree)) });

const date = v.pipe(
  v.string(),
  v.isoTimestamp(),
  v.transform((text) => new Date(text)),
);

export const valibot: Library = {
  name: 'valibot',
  package: 'valibot',
  ways: {
    input: 'a schema',
    asynchronous: '`v.checkAsync`',
    stripped: '`v.object`',
    kept: '`v.looseObject`',
    refused: '`v.strictObject`',
    jsonSchema: '`toStandardJsonSchema(schema)` of `@valibot/to-json-schema`',
  },
  nested: v.object({ l: v.array(v.object({ b: v.number() })) }),
  asynchronous: v.objectAsync({
    name: v.pipeAsync(
      v.string(),
      v.checkAsync(async (name) => name !== 'taken'),
    ),
  }),
  keys: {
    byDefault: v.object({ a: v.number() }),
    stripped: v.object({ a: v.number() }),
    kept: v.looseObject({ a: v.number() }),
    refused: v.strictObject({ a: v.number() }),
  },
  refusedBelow: v.strictObject({ o: v.strictObject({ a: v.number() }) }),
  fixedDefault: v.object({ size: v.optional(v.number(), 1) }),
  computedDefault: (next) => v.object({ id: v.optional(v.string(), next) }),
  codec: v.object({ at: date }),
  number: v.object({ n: v.number() }),
  coerced: v.object({ n: v.pipe(v.union([v.string(), v.number()]), v.transform(Number), v.number()) }),
  union: v.object({ v: v.union([v.string(), v.number()]) }),
  tagged: v.variant('kind', [
    v.object({ kind: v.literal('mail'), to: v.string() }),
    v.object({ kind: v.literal('sms'), phone: v.number() }),
  ]),
  record: v.record(v.string(), v.number()),
  recursive: tree,
  readonly: v.object({ list: v.pipe(v.array(v.string()), v.readonly()) }),
  branded: v.object({ id: v.pipe(v.string(), v.brand('Id')) }),
  described: toStandardJsonSchema(
    v.object({ text: v.string(), note: v.optional(v.string()), size: v.optional(v.number(), 1), at: date }),
  ),
};
