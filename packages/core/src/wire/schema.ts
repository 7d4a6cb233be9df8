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
    const mask = maskFor(keys, [input]);
    const issues = error.issues.map((issue) => ({
      path: mask.text(issue.path),
      message: mask.text(issue.message),
    }));
    throw new ValidationError(task, 'input', issues);
  }
}

function toIssue(issue: StandardSchemaV1.Issue, root: string): ValidationIssue {
  const path = (issue.path ?? []).map((part) => {
    const key = typeof part === 'object' ? part.key : part;
    return typeof key === 'number' ? `[${key}]` : `.${String(key)}`;
  });
  return { path: root + path.join(''), message: issue.message };
}
