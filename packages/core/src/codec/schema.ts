import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ValidationError, type ValidationIssue, type ValidationSubject } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import { maskFor } from './masking.js';

/**
 * The decoded value; a promise of it only if the schema gives one, since awaiting costs a small task as much as checking
 * it does.
 *
 * Any Standard Schema.
 * @throws {ValidationError} with an issue for each place, or rejects with it.
 * @see https://standardschema.dev
 */
export function validate(
  schema: StandardSchemaV1,
  value: unknown,
  task: string,
  subject: ValidationSubject,
  /** Where the value stands, for the issues. */
  path: string = subject,
): unknown {
  const outcome = schema['~standard'].validate(value);
  return outcome instanceof Promise
    ? outcome.then((result) => decoded(result, task, subject, path))
    : decoded(outcome, task, subject, path);
}

function decoded(
  result: StandardSchemaV1.Result<unknown>,
  task: string,
  subject: ValidationSubject,
  path: string,
): unknown {
  if (result.issues === undefined) return result.value;
  throw new ValidationError(
    task,
    subject,
    result.issues.map((issue) => toIssue(issue, path)),
  );
}

/**
 * The same of an input with values to hide, below any of the `keys`: a validator may quote what it refuses, so its words
 * are masked.
 */
export function validateInput(
  schema: StandardSchemaV1,
  input: unknown,
  task: string,
  keys: ReadonlySet<string>,
  path = 'input',
): unknown {
  return keys.size === 0
    ? validate(schema, input, task, 'input', path)
    : validateMasked(schema, input, task, keys, path);
}

async function validateMasked(
  schema: StandardSchemaV1,
  input: unknown,
  task: string,
  keys: ReadonlySet<string>,
  path: string,
): Promise<unknown> {
  try {
    return await validate(schema, input, task, 'input', path);
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error;
    throw new ValidationError(task, 'input', masked(error.issues, keys, input));
  }
}

/** The same at once, of a schema that is not asynchronous; of one that is, nothing is said. */
export function validateInputAtOnce(
  schema: StandardSchemaV1,
  input: unknown,
  task: string,
  keys: ReadonlySet<string>,
  path: string,
): void {
  const outcome = schema['~standard'].validate(input);
  if (outcome instanceof Promise) {
    outcome.catch(() => {}); // asked for again, by whoever can wait
    return;
  }
  if (outcome.issues === undefined) return;
  const issues = outcome.issues.map((issue) => toIssue(issue, path));
  throw new ValidationError(task, 'input', keys.size === 0 ? issues : masked(issues, keys, input));
}

function masked(
  issues: readonly ValidationIssue[],
  keys: ReadonlySet<string>,
  input: unknown,
): ValidationIssue[] {
  const mask = maskFor(keys, [input]);
  return issues.map(({ path, message }) => ({ path: mask.text(path), message: mask.text(message) }));
}

function toIssue(issue: StandardSchemaV1.Issue, root: string): ValidationIssue {
  const path = (issue.path ?? []).map((part) => {
    const key = typeof part === 'object' ? part.key : part;
    return typeof key === 'number' ? `[${key}]` : `.${String(key)}`;
  });
  return { path: root + path.join(''), message: issue.message };
}

// Says what to do about a strict schema behind a step that gives more keys than it takes. The types of such a schema do
// not show that it is strict, so this is seen only when the step runs.

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
