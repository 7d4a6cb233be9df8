import type { AnyResult, FailureRecord, Result, Signature, StepAfter } from '@umbel/core';
import { Composition } from './composition.js';
import { expressionOf, partOf, senderOf } from './part.js';
import type { FirstStep } from './types/flow.js';

/**
 * The result of the step; if that fails for good, the result of `other`, which is given a `FailureRecord`. Fails only if
 * `other` fails too, with that error.
 * @throws {CanvasError} if one of the two is not a step.
 */
export function fallback<In, Gives extends AnyResult, OtherGives extends AnyResult>(
  step: FirstStep<In, Gives>,
  other: StepAfter<Result<'failure', FailureRecord>, OtherGives>,
): Signature<'fallback', In, Gives['~out'] | OtherGives['~out']>;
export function fallback(step: unknown, other: unknown): unknown {
  const first = partOf(step, 'The step of the fallback');
  const second = partOf(other, 'The other step of the fallback');
  return new Composition(
    { kind: 'fallback', step: expressionOf(first), other: expressionOf(second) },
    senderOf([first, second]),
  );
}
