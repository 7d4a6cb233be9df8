import type { Signature, Step } from '@umbel/core';
import { mapping } from './mapping.js';
import type { Inputs } from './types/flow.js';

/**
 * One step over many inputs, in parallel: the results in the order of the inputs. Without inputs it stands after a step
 * that gives a list, and runs once for each item. The step may be a task, a signature with bound keys (each input fills
 * the others) or a composition.
 *
 * The first failure fails the whole. No inputs give `[]`. Inputs other than arrays are read while they are sent; such a
 * map has no JSON.
 * @throws {CanvasError} if the step is not one, or the inputs are no list.
 */
export function map<In, Out>(step: Step<string, In, Out>): Signature<'map', readonly In[], Out[]>;
export function map<In, Out>(
  step: Step<string, In, Out>,
  inputs: Inputs<NoInfer<In>>,
): Signature<'map', unknown, Out[]>;
export function map(step: unknown, ...inputs: unknown[]): unknown {
  return mapping({ by: 'map', step, ...(inputs.length > 0 && { inputs: inputs[0] }) });
}
