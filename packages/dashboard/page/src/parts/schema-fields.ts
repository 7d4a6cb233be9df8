/** The fields of a form for a JSON Schema, and the value that they make. */

export type Schema = Readonly<Record<string, unknown>>;

export interface Field {
  readonly name: string;
  readonly kind: 'text' | 'number' | 'boolean' | 'choice' | 'json';
  readonly choices: readonly string[];
  readonly isRequired: boolean;
  readonly about: string | undefined;
}

/** Returns the fields of an object schema; undefined for any other schema. */
export function fieldsOf(schema: Schema | null): readonly Field[] | undefined {
  const root = schema ?? {};
  const { type, properties, required } = resolved(root, root);
  if (type !== 'object' || !isRecord(properties)) return undefined;
  const needed: readonly unknown[] = Array.isArray(required) ? required : [];
  return Object.entries(properties).map(([name, value]) => {
    const property = resolved(isRecord(value) ? value : {}, root);
    const choices = Array.isArray(property.enum)
      ? property.enum.filter((each) => typeof each === 'string')
      : [];
    return {
      name,
      kind: choices.length > 0 ? 'choice' : kindOf(property.type),
      choices,
      isRequired: needed.includes(name),
      about: typeof property.description === 'string' ? property.description : undefined,
    };
  });
}

/** Returns the definition that a schema refers to by `$ref`, which recursive types do; else the schema itself. */
function resolved(schema: Schema, root: Schema): Schema {
  const { $ref } = schema;
  if (typeof $ref !== 'string' || !isRecord(root.$defs)) return schema;
  const definition = root.$defs[$ref.replace('#/$defs/', '')];
  return isRecord(definition) ? definition : schema;
}

function kindOf(type: unknown): Field['kind'] {
  if (type === 'string') return 'text';
  if (type === 'number' || type === 'integer') return 'number';
  return type === 'boolean' ? 'boolean' : 'json';
}

const isRecord = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Returns the value of the fields; empty ones are left out. */
export function formValueOf(fields: readonly Field[], texts: Readonly<Record<string, string>>): Schema {
  const entries: [string, unknown][] = [];
  for (const { name, kind } of fields) {
    const text = texts[name] ?? '';
    if (text === '') continue;
    if (kind === 'number') entries.push([name, Number(text)]);
    else if (kind === 'boolean') entries.push([name, text === 'true']);
    else if (kind === 'json') entries.push([name, parsed(text)]);
    else entries.push([name, text]);
  }
  return Object.fromEntries(entries);
}

/** @throws {Error} with a message for people. */
export function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new Error(`The input is no JSON: ${(error as Error).message}`);
  }
}
