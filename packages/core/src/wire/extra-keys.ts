/**
 * Says what to do about a strict schema behind a step that gives more keys than it takes. The types of such a schema do
 * not show that it is strict, so this is seen only when the step runs.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ValidationError, type ValidationIssue } from '../errors.js';
import { isPlainObject } from './plain-object.js';
import { validateInput } from './schema.js';

/** How validators say that a key should not be there, where they name its place. */
const REFUSED = /\b(?:never|removed|unrecognized|unknown|unexpected|not allowed)\b/i;

/** As `validateInput`, of an input that an earlier step has given; if keys are too many, the error says so. */
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

/** Throws the error, with advice if the input would be valid without its extra keys. */
async function explain(error: unknown, schema: StandardSchemaV1, input: unknown): Promise<never> {
  const extra = await extraKeys(schema, input);
  if (!(error instanceof ValidationError) || extra.length === 0) throw error;
  const [first, ...more] = error.issues as readonly [ValidationIssue, ...ValidationIssue[]]; // one of them names a key
  const advice =
    `the step before gives ${extra.map((key) => JSON.stringify(key)).join(', ')}, which this strict schema does not ` +
    'take; use a schema that ignores other keys (z.object for z.strictObject), or pass on only what is needed ' +
    '(.into(key), or a step between)';
  throw new ValidationError(error.task, error.subject, [
    { path: first.path, message: `${first.message}; ${advice}` },
    ...more,
  ]);
}

/** The keys without which the input is valid; none if something else is wrong. Some validators name one at a time. */
async function extraKeys(schema: StandardSchemaV1, input: unknown): Promise<string[]> {
  if (!isPlainObject(input)) return [];
  let keys = Object.keys(input);
  const extra: string[] = [];
  for (;;) {
    const part = Object.fromEntries(keys.map((key) => [key, input[key]]));
    const { issues } = await schema['~standard'].validate(part);
    if (issues === undefined) return extra;
    const refused = keys.filter((key) => issues.some((issue) => refusesKey(issue, key)));
    if (refused.length === 0) return [];
    extra.push(...refused);
    keys = keys.filter((key) => !refused.includes(key));
  }
}

/** A key is named by the issue of its object (zod), or by one of its own that says it should not be there. */
function refusesKey({ path = [], message }: StandardSchemaV1.Issue, key: string): boolean {
  const [first, ...below] = path.map((part) => (typeof part === 'object' ? part.key : part));
  return first === undefined
    ? message.includes(JSON.stringify(key))
    : below.length === 0 && first === key && REFUSED.test(message);
}
