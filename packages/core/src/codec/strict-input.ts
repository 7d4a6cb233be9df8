/**
 * Validates the input of a step of a workflow. A strict schema may refuse keys that the previous step returns, which most
 * types do not show: the error then names the keys and says what to do.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ValidationError, type ValidationIssue } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import { validateInput } from './schema.js';

/** Words by which validators say that a key should not exist. */
const REFUSED = /\b(?:never|removed|unrecognized|unknown|unexpected|unspecified|excess|not allowed)\b/i;

/** Validates an input that comes from the previous step. If it has too many keys, the error explains that. */
export function validateFed(
  schema: StandardSchemaV1,
  input: unknown,
  task: string,
  keys: ReadonlySet<string>,
): unknown {
  try {
    const checked = validateInput(schema, input, task, keys);
    return checked instanceof Promise
      ? checked.catch((error: unknown) => explain(error, schema, input))
      : checked;
  } catch (error) {
    return explain(error, schema, input);
  }
}

/** Throws the error, with advice if the input would be valid without some of its keys. */
async function explain(error: unknown, schema: StandardSchemaV1, input: unknown): Promise<never> {
  const extra = await extraKeys(schema, input);
  if (!(error instanceof ValidationError) || extra.length === 0) throw error;
  const [first, ...more] = error.issues as readonly [ValidationIssue, ...ValidationIssue[]]; // at least one names a key
  const advice =
    `the previous step returns ${extra.map((key) => JSON.stringify(key)).join(', ')}, which this strict schema ` +
    'rejects; use a schema that ignores other keys (z.object instead of z.strictObject), or pass on only the needed keys ' +
    '(.into(key), or a step in between)';
  throw new ValidationError(error.task, error.subject, [
    { path: first.path, message: `${first.message}; ${advice}` },
    ...more,
  ]);
}

type Path = readonly PropertyKey[];

/** Limits the work for an object with very many keys, if a validator names one at a time. */
const MAX_ROUNDS = 50;

/** Returns the keys without which the input is valid; none if something else is wrong. Some validators name one at a time. */
async function extraKeys(schema: StandardSchemaV1, input: unknown): Promise<string[]> {
  const extra = new Set<string>();
  let rest = input;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const { issues } = await schema['~standard'].validate(rest);
    if (issues === undefined) return [...extra];
    const refused = issues.flatMap((issue) => refusedKeys(issue, rest));
    if (refused.length === 0) return [];
    for (const path of refused) {
      extra.add(nameOf(path, input));
      rest = without(rest, path);
    }
  }
  return [];
}

/** Returns the keys that an issue refuses: keys that it names of the object at its path, else the key at its path. */
function refusedKeys({ path = [], message }: StandardSchemaV1.Issue, input: unknown): Path[] {
  if (!REFUSED.test(message)) return [];
  const keys = path.map((part) => (typeof part === 'object' ? part.key : part));
  const value = valueAt(input, keys);
  if (isPlainObject(value)) {
    const words = new Set(message.split(/[\s,:;"'`]+/));
    const named = Object.keys(value).filter((key) => words.has(key) || message.includes(JSON.stringify(key)));
    if (named.length > 0) return named.map((key) => [...keys, key]);
  }
  const key = keys.at(-1);
  const holder = valueAt(input, keys.slice(0, -1));
  return key !== undefined && isPlainObject(holder) && Object.hasOwn(holder, key) ? [keys] : [];
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Readonly<Record<PropertyKey, unknown>>)[key];
  }
  return at;
}

/** Returns a copy of the value without the key at the path. */
function without(value: unknown, [key, ...below]: Path): unknown {
  if (key === undefined) return value;
  if (Array.isArray(value))
    return value.map((item: unknown, index) => (index === Number(key) ? without(item, below) : item));
  if (!isPlainObject(value)) return value;
  const entries = Object.entries(value).filter(([name]) => below.length > 0 || name !== String(key));
  return Object.fromEntries(
    entries.map(([name, item]) => [name, name === String(key) ? without(item, below) : item]),
  );
}

/** Returns the path of a key as text, the same for all items of a list. */
function nameOf(path: Path, input: unknown): string {
  let name = '';
  for (const [depth, key] of path.entries()) {
    if (Array.isArray(valueAt(input, path.slice(0, depth)))) name += '[]';
    else name += name === '' ? String(key) : `.${String(key)}`;
  }
  return name;
}
