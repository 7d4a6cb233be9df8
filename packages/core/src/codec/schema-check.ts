/** Checks that a value is a Standard Schema that validates. Definitions of tasks and signals call it. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { InvalidOptionError } from '../base/errors.js';

const HOW = 'see docs/schemas.md';

/** What a definition lacks if its value is a schema of a library, but no Standard Schema. */
const LIBRARIES: readonly { readonly mark: string; readonly expected: string }[] = [
  {
    mark: '~effect/Schema/Schema',
    expected: 'a Standard Schema: write Schema.toStandardSchemaV1(schema) for a schema of effect',
  },
  {
    mark: '~kind',
    expected: `a Standard Schema: a schema of TypeBox needs an adapter, ${HOW}`,
  },
  { mark: 'safeParse', expected: 'a Standard Schema: zod has it from version 3.24' },
  { mark: '__isYupSchema__', expected: 'a Standard Schema: yup has it from version 1.7' },
  { mark: '$_root', expected: 'a Standard Schema: joi has it from version 18' },
];

/**
 * Returns the schema.
 * @throws {InvalidOptionError} with the way to a Standard Schema, if the library of the value has one.
 */
export function checkSchema(option: string, schema: unknown): StandardSchemaV1 {
  const expected = expectedSchema(schema);
  if (expected !== undefined) throw new InvalidOptionError(option, expected, schema);
  return schema as StandardSchemaV1; // `expectedSchema` has checked it
}

/** Returns what was expected instead of this value; undefined for a Standard Schema. */
function expectedSchema(schema: unknown): string | undefined {
  const properties = propertiesOf(schema);
  const standard = propertiesOf(properties?.['~standard']);
  if (properties === undefined || standard === undefined) return expectedInstead(properties);
  const { version, validate, jsonSchema } = standard;
  if (version !== 1) return 'a Standard Schema of version 1';
  if (typeof validate === 'function') return undefined;
  if (jsonSchema === undefined) return 'a Standard Schema with a function `validate`';
  return (
    'a Standard Schema that validates, not only a JSON Schema. For effect, write ' +
    'Schema.toStandardJSONSchemaV1(Schema.toStandardSchemaV1(schema))'
  );
}

function expectedInstead(schema: Readonly<Record<string, unknown>> | undefined): string {
  const library = schema && LIBRARIES.find(({ mark }) => mark in schema);
  if (library !== undefined) return library.expected;
  const isJsonSchema = typeof schema === 'object' && ('properties' in schema || '$schema' in schema);
  return isJsonSchema
    ? `a Standard Schema: a JSON Schema does not validate by itself, ${HOW}`
    : 'a Standard Schema (zod, valibot, arktype …)';
}

function propertiesOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  const isHolder = (typeof value === 'object' && value !== null) || typeof value === 'function';
  return isHolder ? (value as Readonly<Record<string, unknown>>) : undefined;
}
