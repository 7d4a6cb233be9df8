/** Converts schemas to JSON Schema, without the values that a user wrote into them. Workers and lists of waits show it. */
import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec';
import { isPlainObject } from '../base/text.js';

/** A JSON Schema, draft 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Returns the JSON Schema of a schema; null without a schema, or if its library provides none. @see https://standardschema.dev/json-schema */
export function jsonSchemaOf(
  schema: StandardSchemaV1 | undefined,
  side: 'input' | 'output',
): JsonSchema | null {
  const standard = schema?.['~standard'] as Partial<StandardJSONSchemaV1.Props> | undefined;
  try {
    const found = standard?.jsonSchema?.[side]({ target: 'draft-2020-12' });
    return isPlainObject(found) ? withoutValues(found) : null;
  } catch {
    return null; // the library throws for types that JSON Schema cannot express
  }
}

/** Keywords with values of the user, which may be confidential. */
const VALUES: ReadonlySet<string> = new Set(['default', 'examples', 'example']);
/** Keywords whose keys are names, not keywords. */
const NAMED: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
]);
/** Keywords whose values are not schemas. */
const PLAIN: ReadonlySet<string> = new Set(['enum', 'const', 'required', 'type']);

function withoutValues(schema: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(schema).filter(([keyword]) => !VALUES.has(keyword));
  return Object.fromEntries(
    kept.map(([keyword, value]) => {
      if (PLAIN.has(keyword)) return [keyword, value];
      if (!NAMED.has(keyword) || !isPlainObject(value)) return [keyword, below(value)];
      return [keyword, Object.fromEntries(Object.entries(value).map(([name, item]) => [name, below(item)]))];
    }),
  );
}

function below(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(below);
  return isPlainObject(value) ? withoutValues(value) : value;
}
