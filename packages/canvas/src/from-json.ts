import type { App, Signature } from '@umbel/core';
import { coreOf, TaskSignature } from '@umbel/core/internal';
import { Composition } from './composition.js';
import { readExpression } from './read-expression.js';

/**
 * The signature that gave this data with `toJSON`, bound to the app. Nothing is known of its types; `delay` checks the
 * inputs of the tasks that the app knows.
 * @throws {CanvasError} naming the place (`steps[2].members[0].task`) of what no signature gives: the data may come from
 *   anywhere. At most 500 levels may be nested.
 * @throws {InvalidOptionError} if the app is none.
 */
export function fromJSON(app: App<never>, data: unknown): Signature<string, unknown, unknown>;
export function fromJSON(app: App<never>, data: unknown): unknown {
  const expression = readExpression(data);
  const sender = coreOf(app);
  return expression.kind === 'task'
    ? new TaskSignature(expression, sender)
    : new Composition(expression, sender);
}
