/** Validates values with Standard Schemas (https://standardschema.dev), and masks sensitive values in the issues. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ValidationError, type ValidationIssue, type ValidationSubject } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import { maskFor } from './masking.js';

/**
 * Returns the decoded value, or a promise of it if the schema is asynchronous. It does not always return a promise, because
 * for a small task awaiting costs as much as the check.
 * @throws {ValidationError} with all issues; the promise rejects with it.
 */
export function validate(
  schema: StandardSchemaV1,
  value: unknown,
  task: string,
  subject: ValidationSubject,
  /** The path of the value in issues. */
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
 * Validates an input, or a payload, whose values below any of the `keys` are sensitive. A validator may quote invalid values, so its
 * messages are masked.
 */
export function validateInput(
  schema: StandardSchemaV1,
  input: unknown,
  task: string,
  keys: ReadonlySet<string>,
  path = 'input',
  subject: ValidationSubject = 'input',
): unknown {
  return keys.size === 0
    ? validate(schema, input, task, subject, path)
    : validateMasked(schema, input, task, keys, path, subject);
}

async function validateMasked(
  schema: StandardSchemaV1,
  input: unknown,
  task: string,
  keys: ReadonlySet<string>,
  path: string,
  subject: ValidationSubject,
): Promise<unknown> {
  try {
    return await validate(schema, input, task, subject, path);
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error;
    throw new ValidationError(task, subject, masked(error.issues, keys, input));
  }
}

/** Validates an input synchronously. An asynchronous schema is not checked. */
export function validateInputAtOnce(
  schema: StandardSchemaV1,
  input: unknown,
  task: string,
  keys: ReadonlySet<string>,
  path: string,
): void {
  const outcome = schema['~standard'].validate(input);
  if (outcome instanceof Promise) {
    outcome.catch(() => {}); // an asynchronous caller validates it again
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

// Advice for a strict schema after a step that returns more keys than the schema accepts. The types do not show that a schema
// is strict, so this fails only when the step runs.

/** Words by which validators say that the key at an issue's path should not exist. */
const REFUSED = /\b(?:never|removed|unrecognized|unknown|unexpected|not allowed)\b/i;

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

/** Returns the keys without which the input is valid; none if something else is wrong. Some validators name one at a time. */
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

/** Returns whether an issue refuses the key: an issue of its object that names the key (zod), or an issue at the key itself. */
function refusesKey({ path = [], message }: StandardSchemaV1.Issue, key: string): boolean {
  const [first, ...below] = path.map((part) => (typeof part === 'object' ? part.key : part));
  return first === undefined
    ? message.includes(JSON.stringify(key))
    : below.length === 0 && first === key && REFUSED.test(message);
}
