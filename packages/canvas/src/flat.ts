import type { Signature, Step } from '@umbel/core';
import { SENDER } from '@umbel/core/internal';
import { Composition } from './composition.js';
import { expressionOf, partOf } from './part.js';

/**
 * The step, whose result is a list of lists, with the items of those lists as one list, in order. One level: lists in
 * those lists stay. An empty list gives `[]`.
 * @throws {CanvasError} if it is not a step.
 */
export function flat<In, Lists extends readonly (readonly unknown[])[]>(
  step: Step<string, In, Lists>,
): Signature<'flat', In, Lists[number][number][]>;
export function flat(step: unknown): unknown {
  const part = partOf(step, 'What is made flat');
  return new Composition({ kind: 'flat', step: expressionOf(part) }, part[SENDER]);
}
