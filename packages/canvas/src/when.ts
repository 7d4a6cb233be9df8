import type { AnyResult, AnyStep, Signature } from '@umbel/core';
import { isSigned } from '@umbel/core/internal';
import { Composition } from './composition.js';
import { checkCondition } from './condition.js';
import type { Condition } from './expression.js';
import { expressionOf, partOf, senderOf } from './part.js';
import type { NeedsOfTest, TestOf } from './types/branches.js';
import type { FirstStep } from './types/flow.js';

/**
 * One of two steps, by a test of the previous value: a step that gives true or false, or a condition on its keys, which
 * has to hold in every part (`{ pages: { gt: 100 }, language: 'de' }`). Both branches take the previous value, not what
 * the test gives. Without `otherwise` the previous value goes through.
 *
 * A comparison with a key that is absent does not hold, except `exists: false` and `ne`. For values of several kinds,
 * `match` tells each case its own type.
 * @throws {CanvasError} if a branch is not a step, or the test is neither a step nor a condition.
 */
export function when<const Test extends AnyStep | Condition, In, Gives extends AnyResult>(
  test: TestOf<Test, In>,
  then: FirstStep<In, Gives>,
): Signature<'when', NeedsOfTest<Test, In>, Gives['~out'] | NeedsOfTest<Test, In>>;
export function when<
  const Test extends AnyStep | Condition,
  In,
  Gives extends AnyResult,
  OtherIn,
  OtherGives extends AnyResult,
>(
  test: TestOf<Test, In & OtherIn>,
  then: FirstStep<In, Gives>,
  otherwise: FirstStep<OtherIn, OtherGives>,
): Signature<'when', NeedsOfTest<Test, In & OtherIn>, Gives['~out'] | OtherGives['~out']>;
export function when(test: unknown, then: unknown, ...others: unknown[]): unknown {
  const tester = isSigned(test) ? partOf(test, 'The test of when') : undefined;
  const yes = partOf(then, 'The second argument of when');
  const no = others.length === 0 ? undefined : partOf(others[0], 'The third argument of when');
  return new Composition(
    {
      kind: 'when',
      test:
        tester === undefined
          ? { condition: checkCondition(test, 'condition') }
          : { step: expressionOf(tester) },

      onTrue: expressionOf(yes),
      ...(no !== undefined && { onFalse: expressionOf(no) }),
    },
    senderOf([tester, yes, no].filter((part) => part !== undefined)),
  );
}
