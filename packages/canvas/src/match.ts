import type { AnyStep, InputOf, OutputOf, Signature } from '@umbel/core';
import { isPlainObject } from '@umbel/core/internal';
import { Composition } from './composition.js';
import { CanvasError } from './errors.js';
import { expressionOf, nameOf, partOf, senderOf } from './part.js';
import type { NeedsOfCase } from './types/branches.js';

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
    throw new CanvasError(`match needs the name of a key, and got ${nameOf(key)}.`);
  }
  if (!isPlainObject(cases) || Object.keys(cases).length === 0) {
    throw new CanvasError('match needs its cases as an object with at least one step: { name: step, … }.');
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
