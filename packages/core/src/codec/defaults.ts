/**
 * Adds the defaults of a schema to an input, so that every attempt receives the same values although a default may be a new
 * id or the time. Senders store the completed input; workers store it with the first retry of a step.
 */
import { isDeepStrictEqual } from 'node:util';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { isPlainObject } from '../base/text.js';
import { jsonIssues } from './json.js';

/**
 * Returns the input with the values that its schema added, or a promise of it if the schema is asynchronous. It contains a
 * value only if the schema accepts the value there and keeps it, which a second validation decides. So a default that the
 * schema then transforms is not added.
 * @param decoded The result of the first validation.
 * @param maxBytes The input itself is returned if the completed one is longer as JSON.
 */
export function withDefaults(
  schema: StandardSchemaV1,
  input: unknown,
  decoded: unknown,
  maxBytes: number,
): unknown {
  const completed = withAdded(input, decoded);
  if (completed === input || jsonIssues(completed, 'input', maxBytes).length > 0) return input;
  return accepted(schema, input, completed);
}

/** Returns the completed input without the values that the schema does not keep. */
function accepted(schema: StandardSchemaV1, input: unknown, completed: unknown): unknown {
  const settle = (result: StandardSchemaV1.Result<unknown>): unknown => {
    const changed = changedKeys(result, input, completed);
    if (changed.length === 0)
      return result.issues === undefined && isKept(result.value, input, completed) ? completed : input;
    const rest = without(changed, input, completed);
    return rest === undefined ? input : accepted(schema, input, rest);
  };
  const outcome = schema['~standard'].validate(completed);
  return outcome instanceof Promise ? outcome.then(settle) : settle(outcome);
}

/** Returns whether the schema returned what was added. The keys of an object were compared before. */
function isKept(decoded: unknown, input: unknown, completed: unknown): boolean {
  return isPlainObject(completed) || isDeepStrictEqual(withAdded(input, decoded), completed);
}

/** Returns the keys of the completed input that differ from the input, and that the schema refuses or changes. */
function changedKeys(result: StandardSchemaV1.Result<unknown>, input: unknown, completed: unknown): string[] {
  if (!isPlainObject(completed)) return [];
  const added = Object.keys(completed).filter(
    (key) => !isPlainObject(input) || completed[key] !== input[key],
  );
  if (result.issues !== undefined) {
    const refused = new Set(
      result.issues.map(({ path: [first] = [] }) => (typeof first === 'object' ? first.key : first)),
    );
    return added.filter((key) => refused.has(key));
  }
  const { value } = result;
  if (isPlainObject(input) && isPlainObject(value))
    return added.filter(
      (key) => !isSame(withAdded(ownValue(input, key), ownValue(value, key)), completed[key]),
    );
  const again = withAdded(input, value);
  return added.filter((key) => !isPlainObject(again) || !isSame(again[key], completed[key]));
}

/** Like `isDeepStrictEqual`, which takes longer for values that are identical. */
function isSame(one: unknown, other: unknown): boolean {
  return one === other || isDeepStrictEqual(one, other);
}

function ownValue(object: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Returns the completed input with the values of the input at these keys; undefined if nothing else was added. */
function without(keys: readonly string[], input: unknown, completed: unknown): unknown {
  if (!isPlainObject(completed)) return undefined;
  const before = isPlainObject(input) ? input : {};
  const rest = { ...completed };
  for (const key of keys) {
    if (Object.hasOwn(before, key)) rest[key] = before[key];
    else delete rest[key];
  }
  return isDeepStrictEqual(rest, before) ? undefined : rest;
}

/** Returns the input with each value that only `decoded` has and that JSON carries; the input itself if there is none. */
function withAdded(input: unknown, decoded: unknown): unknown {
  if (input === decoded) return input;
  if (input === undefined) return jsonIssues(decoded, '').length === 0 ? decoded : input;
  if (Array.isArray(input)) return withAddedToItems(input, decoded);
  if (!isPlainObject(input) || !isPlainObject(decoded)) return input;
  let completed: Record<string, unknown> | undefined;
  for (const key in decoded) {
    // Most values are unchanged: every call comes here, and the look for an own key takes longer.
    if (decoded[key] === input[key] || key === '__proto__' || !Object.hasOwn(decoded, key)) continue;
    const before = ownValue(input, key);
    const value = withAdded(before, decoded[key]);
    if (value === before) continue;
    completed ??= copyOf(input);
    completed[key] = value;
  }
  return completed ?? input;
}

/** V8 adds a key to a copy that `Object.assign` made several times faster than to one of `{ ...input }`. */
function copyOf(input: Record<string, unknown>): Record<string, unknown> {
  return Object.hasOwn(input, '__proto__') ? { ...input } : Object.assign({}, input);
}

function withAddedToItems(input: readonly unknown[], decoded: unknown): unknown {
  if (!Array.isArray(decoded) || decoded.length !== input.length) return input;
  let completed: unknown[] | undefined;
  for (let index = 0; index < input.length; index += 1) {
    const item: unknown = input[index];
    const value = withAdded(item, decoded[index]);
    if (value === item) continue;
    completed ??= [...input];
    completed[index] = value;
  }
  return completed ?? input;
}
