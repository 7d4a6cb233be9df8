import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec';
import type { StaticDecode, StaticEncode, TSchema } from 'typebox';
import Value from 'typebox/value';

type Standard<In, Out> = {
  readonly '~standard': StandardSchemaV1.Props<In, Out> & StandardJSONSchemaV1.Props<In, Out>;
};

/** Returns a Standard Schema of a TypeBox schema. It applies defaults, converts nothing, and drops other keys. */
export function standard<T extends TSchema>(schema: T): Standard<StaticEncode<T>, StaticDecode<T>> {
  return {
    '~standard': {
      version: 1,
      vendor: 'typebox',
      validate: (value) => {
        const whole = Value.Default(schema, Value.Clone(value));
        if (Value.Check(schema, whole)) return { value: Value.Decode(schema, whole) };
        return { issues: Value.Errors(schema, whole).flatMap(issuesOf) };
      },
      jsonSchema: {
        input: () => ({ ...(schema as object) }),
        output: () => {
          if (Value.HasCodec(schema)) throw new Error('JSON Schema does not describe what a codec returns');
          return { ...(schema as object) };
        },
      },
    },
  };
}

/** Returns an issue per key that is missing or unknown, and one for any other error. */
function issuesOf(error: ReturnType<typeof Value.Errors>[number]): StandardSchemaV1.Issue[] {
  const parts = error.instancePath.split('/').slice(1);
  const path = parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (error.keyword === 'boolean') return []; // an unknown key, which a later error lists
  if (error.keyword === 'required')
    return error.params.requiredProperties.map((key) => ({ path: [...path, key], message: 'is missing' }));
  if (error.keyword === 'additionalProperties')
    return error.params.additionalProperties.map((key) => ({ path: [...path, key], message: 'is unknown' }));
  return [{ path, message: error.message }];
}
