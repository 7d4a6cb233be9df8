import type { AnyResult, Signature, Step, StepAfter } from '@umbel/core';
import { Composition } from './composition.js';
import { CanvasError } from './errors.js';
import type { CanvasExpression } from './expression.js';
import { expressionOf, type Part, partOf, senderOf } from './part.js';
import type { FirstStep, LastOf, PrevOf } from './types/flow.js';

/** Builds chains: each step's result is the next step's input, and the last result is the chain's. */
export interface ChainFunction {
  /**
   * The steps in sequence. If one fails, later ones do not run and the run fails with that error.
   *
   * Chains inside chains are spliced in; a chain of one step is that step.
   * @throws {CanvasError} if there is no step, or something that is not one.
   */
  <In, First extends AnyResult, Rest extends readonly unknown[]>(
    first: FirstStep<In, First>,
    ...rest: { [Key in keyof Rest]: StepAfter<PrevOf<First, Rest, Key>, Rest[Key]> }
  ): Signature<'chain', In, LastOf<First, Rest>>;
  /**
   * A chain of as many steps as the list has, where every step takes and gives `T`.
   * @throws {CanvasError} if the list is empty.
   */
  of<T>(steps: readonly Step<string, T, T>[]): Signature<'chain', T, T>;
}

function build(values: readonly unknown[]): Composition {
  if (values.length === 0) throw new CanvasError('A chain needs at least one step.');
  const parts = values.map((value, index) => partOf(value, `Step ${index + 1} of the chain`));
  const steps = parts.flatMap((part) => stepsOf(expressionOf(part)));
  return new Composition({ kind: 'chain', steps }, senderOf(parts));
}

/** The steps of a chain that nothing is said about, else the expression: chains that grow in a loop do not nest. */
function stepsOf(expression: CanvasExpression): readonly CanvasExpression[] {
  const isPlainChain =
    expression.kind === 'chain' && expression.options === undefined && expression.callbacks === undefined;
  return isPlainChain ? expression.steps : [expression];
}

export const chain = /* @__PURE__ */ Object.assign((...steps: unknown[]) => build(steps), {
  of: (steps: readonly unknown[]) => build(steps),
}) as unknown as ChainFunction; // the types say what the steps need and give, which no object carries at run time

/** The chain of a signature and one more step. A chain is continued, so that many pipes give one flat chain. */
export function pipe(first: Part, next: unknown): Composition {
  const steps = stepsOf(expressionOf(first));
  const last = partOf(next, 'What is piped to');
  return new Composition({ kind: 'chain', steps: [...steps, expressionOf(last)] }, senderOf([first, last]));
}
