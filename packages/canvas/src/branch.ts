/** This module builds branches: `match`, `when`, `fallback` and `flat`. Conditions are checked here and in `fromJSON`. */
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
import { isPlainObject, isSigned, kindOf, SENDER } from '@umbel/core/internal';
import { Composition } from './composition.js';
import type { Comparison, Condition } from './expression.js';
import { CanvasError, expressionOf, partOf, senderOf } from './part.js';
import type { NeedsOfCase, NeedsOfTest, TestOf } from './types/branches.js';
import type { FirstStep } from './types/flow.js';

/**
 * Runs the case that is named by the value under `key` of the previous result. The case takes that result, and its own
 * result is the result. Names are compared as strings, so `200`, `true` and `'true'` can be cases. The compiler refuses
 * `match` after a step that may return a value without a case.
 *
 * A value without a case fails the step.
 * @throws {CanvasError} if there is no case, or a case is not a step.
 *
 * @example
 * const notify = match('channel', { mail: sendMail, alert: sendAlert });
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
    throw new CanvasError(`match needs the name of a key, got ${kindOf(key)}.`);
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

/** Returns the value as a condition. @throws {CanvasError} with the path of the invalid part, below `path`. */
export function checkCondition(value: unknown, path: string): Condition {
  if (!isPlainObject(value) || Object.keys(value).length === 0) {
    throw new CanvasError(
      `${path} must be an object with at least one key and its comparison, not ${kindOf(value)}.`,
    );
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, comparison]) => [key, checkComparison(comparison, `${path}.${key}`)]),
  );
}

function checkComparison(value: unknown, path: string): Comparison {
  if (isScalar(value)) return value as Comparison; // it is one of those
  if (!isPlainObject(value) || Object.keys(value).length === 0) {
    throw new CanvasError(`${path} must be ${SCALAR[0]}, or an object of comparisons, not ${kindOf(value)}.`);
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
    if (!fits(operand)) throw new CanvasError(`${path}.${name} must be ${expected}, not ${kindOf(operand)}.`);
  }
  return { ...value };
}

/**
 * Runs one of two steps, by a test of the previous result. The test is a step that returns true or false, or a condition
 * whose parts must all hold (`{ pages: { gt: 100 }, language: 'de' }`). Both branches take the previous result. Without
 * `otherwise` the previous result is passed on.
 *
 * A comparison with an absent key does not hold, except `exists: false` and `ne`. For a union, `match` narrows the type
 * of each case.
 * @throws {CanvasError} if a branch is not a step, or the test is neither a step nor a condition.
 *
 * @example
 * const shrink = when({ width: { gt: 4000 } }, resize, upload);
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
 * Runs the step. If it fails, `other` runs with a `FailureRecord`. The result is that of the step that succeeded; if both
 * fail, the error is that of `other`.
 * @throws {CanvasError} if one of the two is not a step.
 *
 * @example
 * const charged = fallback(charge, sendAlert.si({ text: 'The charge failed' }));
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
 * Flattens the result of a step, a list of lists, by one level and in order. An empty list returns `[]`.
 * @throws {CanvasError} if the argument is not a step.
 * @example
 * const pages = flat(group([chunks(resize, ['a.png', 'b.png'].map((path) => ({ path, width: 100 })), 2)]));
 */
export function flat<In, Lists extends readonly (readonly unknown[])[]>(
  step: Step<string, In, Lists>,
): Signature<'flat', In, Lists[number][number][]>;
export function flat(step: unknown): unknown {
  const part = partOf(step, 'The step of flat');
  return new Composition({ kind: 'flat', step: expressionOf(part) }, part[SENDER]);
}
