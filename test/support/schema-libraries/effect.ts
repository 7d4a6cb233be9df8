import { Effect, Schema, SchemaGetter } from 'effect';
import type { Library } from './library.js';

interface Tree {
  readonly value: number;
  readonly children: readonly Tree[];
}
const tree = Schema.Struct({
  value: Schema.Finite,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => tree)),
});

const one = Schema.Struct({ a: Schema.Finite });
const standard = Schema.toStandardSchemaV1;
const strict = { parseOptions: { onExcessProperty: 'error' } } as const;

const freeName = Schema.String.pipe(
  Schema.decode({
    decode: SchemaGetter.checkEffect((name: string) => Effect.promise(async () => name !== 'taken')),
    encode: SchemaGetter.passthrough(),
  }),
);

export const effect: Library = {
  name: 'effect',
  package: 'effect',
  ways: {
    input: '`Schema.toStandardSchemaV1(schema)`',
    asynchronous: '`SchemaGetter.checkEffect`',
    stripped: '`Schema.Struct`',
    kept: '`Schema.StructWithRest`',
    refused: "option `onExcessProperty: 'error'`",
    jsonSchema: '`Schema.toStandardJSONSchemaV1(Schema.toStandardSchemaV1(schema))`',
  },
  nested: standard(Schema.Struct({ l: Schema.Array(Schema.Struct({ b: Schema.Finite })) })),
  asynchronous: standard(Schema.Struct({ name: freeName })),
  keys: {
    byDefault: standard(Schema.Struct({ a: Schema.Finite })),
    stripped: standard(Schema.Struct({ a: Schema.Finite })),
    kept: standard(Schema.StructWithRest(one, [Schema.Record(Schema.String, Schema.Unknown)])),
    refused: standard(Schema.Struct({ a: Schema.Finite }), strict),
  },
  refusedBelow: standard(Schema.Struct({ o: one }), strict),
  fixedDefault: standard(
    Schema.Struct({ size: Schema.Finite.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))) }),
  ),
  computedDefault: (next) =>
    standard(Schema.Struct({ id: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.sync(next))) })),
  codec: standard(Schema.Struct({ at: Schema.DateFromString })),
  number: standard(Schema.Struct({ n: Schema.Number })),
  coerced: standard(Schema.Struct({ n: Schema.Union([Schema.FiniteFromString, Schema.Finite]) })),
  union: standard(Schema.Struct({ v: Schema.Union([Schema.String, Schema.Finite]) })),
  tagged: standard(
    Schema.Union([
      Schema.Struct({ kind: Schema.Literal('mail'), to: Schema.String }),
      Schema.Struct({ kind: Schema.Literal('sms'), phone: Schema.Finite }),
    ]),
  ),
  record: standard(Schema.Record(Schema.String, Schema.Finite)),
  recursive: standard(tree),
  readonly: standard(Schema.Struct({ list: Schema.Array(Schema.String) })),
  branded: standard(Schema.Struct({ id: Schema.String.pipe(Schema.brand('Id')) })),
  described: Schema.toStandardJSONSchemaV1(
    standard(
      Schema.Struct({
        text: Schema.String,
        note: Schema.optionalKey(Schema.String),
        size: Schema.Finite.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))),
        at: Schema.DateFromString,
      }),
    ),
  ),
};
