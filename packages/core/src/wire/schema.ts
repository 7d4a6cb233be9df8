import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ValidationError, type ValidationIssue, type ValidationSubject } from '../errors.js';

/**
 * The decoded value, or a `ValidationError` with one issue for each place.
 *
 * Any Standard Schema; its `validate` may be asynchronous.
 * @see https://standardschema.dev
 */
export async function validate(
  schema: StandardSchemaV1,
  value: unknown,
  task: string,
  subject: ValidationSubject,
  /** Where the value stands, for the issues. */
  path: string = subject,
): Promise<unknown> {
  const outcome = schema['~standard'].validate(value);
  const result = outcome instanceof Promise ? await outcome : outcome;
  if (result.issues === undefined) return result.value;
  throw new ValidationError(
    task,
    subject,
    result.issues.map((issue) => toIssue(issue, path)),
  );
}

function toIssue(issue: StandardSchemaV1.Issue, root: string): ValidationIssue {
  const path = (issue.path ?? []).map((part) => {
    const key = typeof part === 'object' ? part.key : part;
    return typeof key === 'number' ? `[${key}]` : `.${String(key)}`;
  });
  return { path: root + path.join(''), message: issue.message };
}
