import type { Signature, Step } from '@umbel/core';
import { checkInteger } from '@umbel/core/internal';
import { mapping } from './mapping.js';
import type { Inputs, OneCall } from './types/flow.js';

/**
 * As `map`, with `size` inputs packed in one job, which runs them one after the other: one flat list of results in the
 * order of the inputs. For many short calls of one task. Without inputs it stands after a step that gives a list.
 *
 * A failing input fails its job, and the error names the index of that input. No inputs give `[]`. Inputs other than
 * arrays are read while they are sent; such a composition has no JSON.
 * @throws {CanvasError} if the step is not a call of one task, or the inputs are no list.
 * @throws {InvalidOptionError} unless `size` is a whole number of at least 1.
 */
export function chunks<Name extends string, In, Out>(
  step: Step<Name, In, Out> & OneCall<Name>,
  size: number,
): Signature<'chunks', readonly In[], Out[]>;
export function chunks<Name extends string, In, Out>(
  step: Step<Name, In, Out> & OneCall<Name>,
  inputs: Inputs<NoInfer<In>>,
  size: number,
): Signature<'chunks', unknown, Out[]>;
export function chunks(step: unknown, ...args: unknown[]): unknown {
  const chunkSize = checkInteger('size', args.at(-1) as number, 1, Number.MAX_SAFE_INTEGER); // it is what checks it
  return mapping({ by: 'chunks', step, chunkSize, ...(args.length > 1 && { inputs: args[0] }) });
}
