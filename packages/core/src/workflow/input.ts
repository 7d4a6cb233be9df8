/** Completing inputs: bound keys and the value that earlier steps, or the sender, give. Pure. */
import { ValidationError } from '../base/errors.js';
import { isPlainObject, kindOf } from '../base/text.js';
import { type Condition, foldTree, type JobNode } from '../job/job-tree.js';

export interface PartialInput {
  readonly input?: unknown;
  readonly into?: string;
}

/**
 * The whole input of a task: `value` itself when nothing is bound, else the bound keys over those of `value`, or
 * `value` under the key it goes into.
 * @throws {ValidationError} if keys are bound and `value` has none to merge with.
 */
export function completeInput(task: string, { input, into }: PartialInput, value: unknown): unknown {
  if (into !== undefined) return { ...(isPlainObject(input) ? input : {}), [into]: value };
  if (input === undefined) return value;
  if (isPlainObject(input) && isPlainObject(value)) return { ...value, ...input };
  throw new ValidationError(task, 'input', [
    {
      path: 'input',
      message:
        `some keys are bound, but what should fill the others is ${kindOf(value)}, not an object; ` +
        'pass it into one key with .into(key, { … })',
    },
  ]);
}

/** The tree with `value` given to every open node; those nodes are closed then. */
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

// Whether a value fulfils a condition: plain data, so that it can be stored with a run.

type Ordered = string | number;

/** True if `value` has, under every key of the condition, what it asks for. */
export function fulfils(value: unknown, condition: Condition): boolean {
  if (!isPlainObject(value)) return false;
  return Object.entries(condition).every(([key, wanted]) =>
    compares(Object.hasOwn(value, key) ? value[key] : undefined, wanted),
  );
}

const COMPARISONS: Readonly<Record<string, (given: unknown, wanted: unknown) => boolean>> = {
  eq: (given, wanted) => given === wanted,
  ne: (given, wanted) => given !== wanted,
  gt: ordered((given, wanted) => given > wanted),
  gte: ordered((given, wanted) => given >= wanted),
  lt: ordered((given, wanted) => given < wanted),
  lte: ordered((given, wanted) => given <= wanted),
  in: (given, wanted) => Array.isArray(wanted) && wanted.includes(given),
  exists: (given, wanted) => (given !== undefined && given !== null) === wanted,
};

function compares(given: unknown, wanted: unknown): boolean {
  if (!isPlainObject(wanted)) return given === wanted;
  return Object.entries(wanted).every(([name, bound]) => COMPARISONS[name]?.(given, bound) ?? false);
}

/** Values of different kinds have no order: then nothing holds. */
function ordered(holds: (given: Ordered, wanted: Ordered) => boolean) {
  return (given: unknown, wanted: unknown): boolean => {
    if (typeof given === 'number' && typeof wanted === 'number') return holds(given, wanted);
    return typeof given === 'string' && typeof wanted === 'string' && holds(given, wanted);
  };
}
