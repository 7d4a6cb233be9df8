/** Rewrites an expression into the few shapes that the planner knows. Pure; doing it twice changes nothing. */
import type { NormalizedOptions, TaskExpression } from '@umbel/core/internal';
import type { CanvasExpression } from './expression.js';

/** What is left: tasks, groups, and chains of those, with options on tasks only. */
export type NormalExpression = TaskExpression | NormalGroup | NormalChain;

export interface NormalGroup {
  readonly kind: 'group';
  readonly members: readonly NormalExpression[];
  readonly keys?: readonly string[];
}

/** At least two steps, none of them a chain. */
export interface NormalChain {
  readonly kind: 'chain';
  readonly steps: readonly (TaskExpression | NormalGroup)[];
}

/**
 * The expression with
 * - a chain inside a chain spliced in,
 * - a chain of one step replaced by that step,
 * - a chord written as a chain of its header and its body,
 * - options handed down to the tasks, where an inner one wins.
 */
export function normalize(expression: CanvasExpression, inherited: NormalizedOptions = {}): NormalExpression {
  const options = { ...inherited, ...expression.options };
  switch (expression.kind) {
    case 'task':
      return Object.keys(options).length === 0 ? expression : { ...expression, options };
    case 'group':
      return {
        kind: 'group',
        members: expression.members.map((member) => normalize(member, options)),
        ...(expression.keys !== undefined && { keys: expression.keys }),
      };
    case 'chain':
      return chainOf(expression.steps.map((step) => normalize(step, options)));
    case 'chord':
      return chainOf([normalize(expression.header, options), normalize(expression.body, options)]);
  }
}

function chainOf(parts: readonly NormalExpression[]): NormalExpression {
  const steps = parts.flatMap((part) => (part.kind === 'chain' ? part.steps : [part]));
  const [only] = steps;
  return steps.length === 1 && only !== undefined ? only : { kind: 'chain', steps };
}
