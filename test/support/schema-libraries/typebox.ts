import Type from 'typebox';
import type { Library } from './library.js';
import { standard } from './typebox-adapter.js';

const date = Type.Codec(Type.String({ format: 'date-time' }))
  .Decode((text) => new Date(text))
  .Encode((at) => at.toISOString());

const strict = { additionalProperties: false };

export const typebox: Library = {
  name: 'TypeBox',
  package: 'typebox',
  ways: {
    input: '[`standard(schema)`](#typebox)',
    stripped: '`Type.Object`',
    kept: '`additionalProperties: true`',
    refused: '`additionalProperties: false`',
    jsonSchema: '[`standard(schema)`](#typebox)',
  },
  nested: standard(Type.Object({ l: Type.Array(Type.Object({ b: Type.Number() })) })),
  keys: {
    byDefault: standard(Type.Object({ a: Type.Number() })),
    stripped: standard(Type.Object({ a: Type.Number() })),
    kept: standard(Type.Object({ a: Type.Number() }, { additionalProperties: true })),
    refused: standard(Type.Object({ a: Type.Number() }, strict)),
  },
  refusedBelow: standard(Type.Object({ o: Type.Object({ a: Type.Number() }, strict) }, strict)),
  fixedDefault: standard(Type.Object({ size: Type.Optional(Type.Number({ default: 1 })) })),
  computedDefault: (next) => standard(Type.Object({ id: Type.Optional(Type.String({ default: next })) })),
  codec: standard(Type.Object({ at: date })),
  number: standard(Type.Object({ n: Type.Number() })),
  coerced: standard(
    Type.Object({
      n: Type.Codec(Type.Union([Type.String(), Type.Number()]))
        .Decode(Number)
        .Encode((n) => n),
    }),
  ),
  union: standard(Type.Object({ v: Type.Union([Type.String(), Type.Number()]) })),
  tagged: standard(
    Type.Union([
      Type.Object({ kind: Type.Literal('mail'), to: Type.String() }),
      Type.Object({ kind: Type.Literal('sms'), phone: Type.Number() }),
    ]),
  ),
  record: standard(Type.Record(Type.String(), Type.Number())),
  recursive: standard(
    Type.Cyclic(
      { Tree: Type.Object({ value: Type.Number(), children: Type.Array(Type.Ref('Tree')) }) },
      'Tree',
    ),
  ),
  readonly: standard(Type.Object({ list: Type.Readonly(Type.Array(Type.String())) })),
  described: standard(
    Type.Object({
      text: Type.String(),
      note: Type.Optional(Type.String()),
      size: Type.Optional(Type.Number({ default: 1 })),
      at: date,
    }),
  ),
};
