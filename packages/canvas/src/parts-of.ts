import { CanvasError } from './errors.js';
import type { CanvasExpression } from './expression.js';

/** The expressions that one is directly made of, callbacks and members that are read lazily left out. */
export function partsOf(expression: CanvasExpression): readonly CanvasExpression[] {
  switch (expression.kind) {
    case 'task':
      return [];
    case 'chain':
      return expression.steps;
    case 'group':
      return 'read' in expression.members ? [] : expression.members;
    case 'chord':
      return [expression.header, expression.body];
    case 'match':
      return Object.values(expression.cases);
    case 'when': {
      const { test, onTrue, onFalse } = expression;
      const step = 'step' in test ? [test.step] : [];
      return [...step, onTrue, ...(onFalse === undefined ? [] : [onFalse])];
    }
    case 'fallback':
      return [expression.step, expression.other];
    case 'map':
    case 'flat':
      return [expression.step];
  }
}

/** Compositions inside of each other, at most. A chain is not deeper for its steps. */
const MAX_NESTING = 500;

/** How deep the expressions are that are known: a task is 0 deep. */
const depths = new WeakMap<CanvasExpression, number>();

/**
 * Notes how deep an expression is whose parts are noted already; parts that are not count as tasks.
 * @throws {CanvasError} if that is too deep to be planned.
 */
export function checkNesting(expression: CanvasExpression): void {
  let depth = 0;
  for (const part of partsOf(expression))
    if (part.kind !== 'task') depth = Math.max(depth, depths.get(part) ?? 0);
  for (const callbacks of Object.values(expression.callbacks ?? {}))
    for (const callback of callbacks) depth = Math.max(depth, depths.get(callback) ?? 0);
  if (depth >= MAX_NESTING)
    throw new CanvasError(
      `Compositions are nested at most ${MAX_NESTING} deep, and this ${expression.kind} is deeper. ` +
        'Give a chain or a group its parts as one list: chain.of(steps), group(members).',
    );
  depths.set(expression, depth + 1);
}
