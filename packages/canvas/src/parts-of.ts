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
