/** Combines bound keys with the value of earlier steps or of the sender, and evaluates conditions on values. Pure. */
import { ValidationError } from '../base/errors.js';
import { isPlainObject, kindOf } from '../base/text.js';
import { type Condition, foldTree, type JobNode } from '../job/job-tree.js';

export interface PartialInput {
  readonly input?: unknown;
  readonly into?: string;
}

/**
 * Returns the whole input of a task: `value` under the key `into`, or the keys of `value` with the bound keys over them, or
 * `value` itself if nothing is bound.
 * @throws {ValidationError} if keys are bound and `value` is not an object.
 */
export function completeInput(task: string, { input, into }: PartialInput, value: unknown): unknown {
  if (into !== undefined) return { ...(isPlainObject(input) ? input : {}), [into]: value };
  if (input === undefined) return value;
  if (isPlainObject(input) && isPlainObject(value)) return { ...value, ...input };
  throw new ValidationError(task, 'input', [
    {
      path: 'input',
      message:
        `some keys are bound, but the value for the other keys is ${kindOf(value)}, not an object; ` +
        'put it under one key with .into(key, { … })',
    },
  ]);
}

/** What a job stores of its input, and where the rest comes from. */
interface StoredInput {
  readonly input?: unknown;
  readonly after?: { readonly ignored?: true | undefined } | undefined;
}

/**
 * Returns what a job has to store so that its input becomes `completed`: the input, or its bound keys if earlier steps
 * supply the rest.
 * @param whole Its input now. `completed` has further keys or further values below its keys.
 */
export function storedInput({ input, after }: StoredInput, whole: unknown, completed: unknown): unknown {
  if (after === undefined || after.ignored) return completed;
  if (!isPlainObject(whole) || !isPlainObject(completed)) return input;
  const changed = Object.entries(completed).filter(([key, value]) => value !== whole[key]);
  return { ...(isPlainObject(input) ? input : {}), ...Object.fromEntries(changed) };
}

/** Returns the tree with `value` as the input of every open node, which closes them. */
export function fill(root: JobNode, value: unknown): JobNode {
  return foldTree<JobNode>(root, (node, children) => {
    const filled = children === undefined ? {} : { children };
    const { open, children: _children, ...rest } = node;
    if (open === undefined) return { ...rest, ...filled };
    const { into, input, ...closed } = rest;
    const whole = value === undefined && into === undefined ? input : completeInput(node.name, rest, value);
    return { ...closed, ...(whole !== undefined && { input: whole }), ...filled };
  });
}

// Conditions. They are plain data, so that they can be stored with a run.

type Ordered = string | number;

/** Returns whether `value` fulfils the condition under every key. */
export function fulfils(value: unknown, condition: Condition): boolean {
  if (!isPlainObject(value)) return false;
  return Object.entries(condition).every(([key, expected]) =>
    isMatch(Object.hasOwn(value, key) ? value[key] : undefined, expected),
  );
}

const COMPARISONS: Readonly<Record<string, (actual: unknown, expected: unknown) => boolean>> = {
  eq: (actual, expected) => actual === expected,
  ne: (actual, expected) => actual !== expected,
  gt: ordered((actual, expected) => actual > expected),
  gte: ordered((actual, expected) => actual >= expected),
  lt: ordered((actual, expected) => actual < expected),
  lte: ordered((actual, expected) => actual <= expected),
  in: (actual, expected) => Array.isArray(expected) && expected.includes(actual),
  exists: (actual, expected) => (actual !== undefined && actual !== null) === expected,
};

function isMatch(actual: unknown, expected: unknown): boolean {
  if (!isPlainObject(expected)) return actual === expected;
  return Object.entries(expected).every(([name, bound]) => COMPARISONS[name]?.(actual, bound) ?? false);
}

/** Compares two numbers or two strings. Any other pair has no order, so the comparison is false. */
function ordered(holds: (actual: Ordered, expected: Ordered) => boolean) {
  return (actual: unknown, expected: unknown): boolean => {
    if (typeof actual === 'number' && typeof expected === 'number') return holds(actual, expected);
    return typeof actual === 'string' && typeof expected === 'string' && holds(actual, expected);
  };
}
