/** Validates values with Standard Schemas (https://standardschema.dev), and masks sensitive values in the issues. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ValidationError, type ValidationIssue, type ValidationSubject } from '../base/errors.js';
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
    ? outcome.then((result) => decoded(result, value, task, subject, path))
    : decoded(outcome, value, task, subject, path);
}

function decoded(
  result: StandardSchemaV1.Result<unknown>,
  value: unknown,
  task: string,
  subject: ValidationSubject,
  path: string,
): unknown {
  if (result.issues === undefined) return result.value;
  throw new ValidationError(
    task,
    subject,
    result.issues.map((issue) => toIssue(issue, path, value)),
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
  const issues = outcome.issues.map((issue) => toIssue(issue, path, input));
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

/** @param value The value at `root`, which tells lists from objects: some libraries name the index of an item by text. */
function toIssue(issue: StandardSchemaV1.Issue, root: string, value: unknown): ValidationIssue {
  let path = root;
  let holder = value;
  for (const part of issue.path ?? []) {
    const key = typeof part === 'object' ? part.key : part;
    path += isIndex(key, holder) ? `[${String(key)}]` : `.${String(key)}`;
    holder =
      typeof holder === 'object' && holder !== null
        ? (holder as Record<PropertyKey, unknown>)[key]
        : undefined;
  }
  return { path, message: issue.message };
}

/** Returns whether a key in an issue's path is the index of a list. */
function isIndex(key: PropertyKey, holder: unknown): boolean {
  if (typeof holder === 'object' && holder !== null)
    return Array.isArray(holder) && /^\d+$/.test(String(key));
  return typeof key === 'number'; // a path into a part that the value does not have
}
