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
 * - options handed down to the tasks, where an inner one wins; but a delay only to the tasks that start the
 *   composition, where delays add up.
 */
export function normalize(
  expression: CanvasExpression,
  inherited: NormalizedOptions = {},
  delayMs = 0,
): NormalExpression {
  const { delayMs: own = 0, ...ownOptions } = expression.options ?? {};
  const options = { ...inherited, ...ownOptions };
  const delay = delayMs + own;
  switch (expression.kind) {
    case 'task': {
      const { options: _given, ...call } = expression;
      const all = { ...options, ...(delay > 0 && { delayMs: delay }) };
      return Object.keys(all).length === 0 ? call : { ...call, options: all };
    }
    case 'group':
      return {
        kind: 'group',
        members: expression.members.map((member) => normalize(member, options, delay)),
        ...(expression.keys !== undefined && { keys: expression.keys }),
      };
    case 'chain':
      return chainOf(
        expression.steps.map((step, index) => normalize(step, options, index === 0 ? delay : 0)),
      );
    case 'chord':
      return chainOf([normalize(expression.header, options, delay), normalize(expression.body, options)]);
  }
}

function chainOf(parts: readonly NormalExpression[]): NormalExpression {
  const steps = parts.flatMap((part) => (part.kind === 'chain' ? part.steps : [part]));
  const [only] = steps;
  return steps.length === 1 && only !== undefined ? only : { kind: 'chain', steps };
}
