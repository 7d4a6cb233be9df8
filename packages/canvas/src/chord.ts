import type { AnyResult, OutputOf, Result, Signature } from '@umbel/core';
import { Composition, partOf, senderOf } from './composition.js';
import { groupOf } from './group.js';
import type { EachOf, Members, NeedsAll, StepAfter } from './types/flow.js';

/**
 * The header's members in parallel, then the body once with all their results, in declared order. The same as
 * `chain(group(header), body)`.
 *
 * If a member fails, the body never runs and the run fails with that error.
 * @throws {CanvasError} if a member or the body is not a step.
 */
export function chord<const Header extends Members, Gives extends AnyResult>(
  header: Header,
  body: StepAfter<Result<'header', { -readonly [Key in keyof Header]: OutputOf<Header[Key]> }>, Gives>,
): Signature<'chord', NeedsAll<EachOf<Header>>, Gives['~out']>;
export function chord(header: Members, body: unknown): unknown {
  const { expression, parts } = groupOf(header, 'the chord’s header');
  const last = partOf(body, 'The body of the chord');
  return new Composition(
    { kind: 'chord', header: expression, body: last.toJSON() },
    senderOf([...parts, last]),
  );
}
