/** Completing inputs: bound keys and the value that earlier steps, or the sender, give. Pure. */
import { ValidationError } from '../errors.js';
import { isPlainObject } from '../wire/plain-object.js';
import type { FlowNode } from './node.js';
import { foldTree } from './walk.js';

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
        `some keys are bound, but what should fill the others is ${nameOf(value)}, not an object; ` +
        'pass it into one key with .into(key, { … })',
    },
  ]);
}

/** The tree with `value` given to every open node; those nodes are closed then. */
export function fill(root: FlowNode, value: unknown): FlowNode {
  return foldTree<FlowNode>(root, (node, children) => {
    const filled = children === undefined ? {} : { children };
    const { open, children: _children, ...rest } = node;
    if (open === undefined) return { ...rest, ...filled };
    const { into, input, ...closed } = rest;
    const whole = value === undefined && into === undefined ? input : completeInput(node.name, rest, value);
    return { ...closed, ...(whole !== undefined && { input: whole }), ...filled };
  });
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}
