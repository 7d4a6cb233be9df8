import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ValidationError, type ValidationIssue, type ValidationSubject } from '../errors.js';
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
