import type {
  AnyResult,
  AnyStep,
  FailureRecord,
  InputOf,
  OutputOf,
  Result,
  Signature,
  Step,
  StepAfter,
} from '@umbel/core';
import { isPlainObject, isSigned, SENDER } from '@umbel/core/internal';
import { Composition } from './composition.js';
import type { Comparison, Condition } from './expression.js';
import { CanvasError, expressionOf, nameOf, partOf, senderOf } from './part.js';
import type { NeedsOfCase, NeedsOfTest, TestOf } from './types/branches.js';
import type { FirstStep } from './types/flow.js';

/**
 * The case whose name the previous value has under `key`; the case takes that value, and its result is the result. Names
 * are compared as text, so that `200`, `true` and `'true'` can be cases. The compiler refuses it after a step that may
 * give a value for which there is no case.
 *
 * A value without a case fails the step.
 * @throws {CanvasError} if there is no case, or one is not a step.
 */
export function match<const Key extends string, const Cases extends { readonly [name: string]: AnyStep }>(
  key: Key,
  cases: Cases,
): Signature<
  'match',
  { [Name in keyof Cases]: NeedsOfCase<Key, Name, InputOf<Cases[Name]>> }[keyof Cases],
  OutputOf<Cases[keyof Cases]>
>;
export function match(key: unknown, cases: unknown): unknown {
  if (typeof key !== 'string') {
    throw new CanvasError(`match needs the name of a key, got ${nameOf(key)}.`);
  }
  if (!isPlainObject(cases) || Object.keys(cases).length === 0) {
    throw new CanvasError('The cases of match must be an object with at least one step: { name: step, … }.');
  }
  const parts = Object.entries(cases).map(
    ([name, step]) => [name, partOf(step, `Case "${name}" of match`)] as const,
  );
  return new Composition(
    {
      kind: 'match',
      key,
      cases: Object.fromEntries(parts.map(([name, part]) => [name, expressionOf(part)])),
    },
    senderOf(parts.map(([, part]) => part)),
  );
}

type Check = readonly [expected: string, fits: (value: unknown) => boolean];

const isScalar = (value: unknown) => value === null || ['string', 'number', 'boolean'].includes(typeof value);

const SCALAR: Check = ['a string, a number, true, false or null', isScalar];
const ORDERED: Check = [
  'a string or a number',
  (value) => typeof value === 'string' || typeof value === 'number',
];

const COMPARISONS: Readonly<Record<keyof Exclude<Comparison, string | number | boolean | null>, Check>> = {
  eq: SCALAR,
  ne: SCALAR,
  gt: ORDERED,
  gte: ORDERED,
  lt: ORDERED,
  lte: ORDERED,
  in: [`a list of values, each ${SCALAR[0]}`, (value) => Array.isArray(value) && value.every(isScalar)],
  exists: ['true or false', (value) => typeof value === 'boolean'],
};

/** The value as a condition. @throws {CanvasError} naming the place of what cannot be in one, below `path`. */
export function checkCondition(value: unknown, path: string): Condition {
  if (!isPlainObject(value) || Object.keys(value).length === 0) {
    throw new CanvasError(
      `${path} must be an object with at least one key and its comparison, not ${nameOf(value)}.`,
    );
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, comparison]) => [key, checkComparison(comparison, `${path}.${key}`)]),
  );
}

function checkComparison(value: unknown, path: string): Comparison {
  if (isScalar(value)) return value as Comparison; // it is one of those
  if (!isPlainObject(value) || Object.keys(value).length === 0) {
    throw new CanvasError(`${path} must be ${SCALAR[0]}, or an object of comparisons, not ${nameOf(value)}.`);
  }
  for (const [name, operand] of Object.entries(value)) {
    const check = Object.hasOwn(COMPARISONS, name)
      ? COMPARISONS[name as keyof typeof COMPARISONS]
      : undefined;
    if (check === undefined) {
      const known = Object.keys(COMPARISONS).join(', ');
      throw new CanvasError(`${path}.${name} is not a comparison (known: ${known}).`);
    }
    const [expected, fits] = check;
    if (!fits(operand)) throw new CanvasError(`${path}.${name} must be ${expected}, not ${nameOf(operand)}.`);
  }
  return { ...value };
}

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

/**
 * The step, whose result is a list of lists, with the items of those lists as one list, in order. One level: lists in
 * those lists stay. An empty list gives `[]`.
 * @throws {CanvasError} if it is not a step.
 */
export function flat<In, Lists extends readonly (readonly unknown[])[]>(
  step: Step<string, In, Lists>,
): Signature<'flat', In, Lists[number][number][]>;
export function flat(step: unknown): unknown {
  const part = partOf(step, 'The step of flat');
  return new Composition({ kind: 'flat', step: expressionOf(part) }, part[SENDER]);
}
