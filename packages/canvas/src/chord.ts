import type { AnyResult, OutputOf, Result, Signature, Step, StepAfter } from '@umbel/core';
import { isSigned, SENDER, type Sender } from '@umbel/core/internal';
import { Composition } from './composition.js';
import { CanvasError } from './errors.js';
import type { CanvasExpression } from './expression.js';
import { membersOf } from './members.js';
import { expressionOf, oneSender, type Part, partOf } from './part.js';
import type { EachOf, Listed, Members, NeedsAll } from './types/flow.js';

/** A group of any kind, as the header of a chord. */
type AnyGroup = Step<'group', never, unknown>;

/**
 * The header's members in parallel, then the body once with all their results, in declared order. The same as
 * `chain(group(header), body)`. The header may be a group already, whatever its policy: the body takes what it gives.
 *
 * If the header fails, the body never runs and the run fails with that error. An empty header runs the body with `[]`.
 * @throws {CanvasError} if a member or the body is not a step.
 */
export function chord<const Header extends Members | AnyGroup, Gives extends AnyResult>(
  header: Header,
  body: StepAfter<
    Result<
      'header',
      Header extends Step<'group', never, infer Out>
        ? Out
        : Listed<Header> extends infer List
          ? { -readonly [Key in keyof List]: OutputOf<List[Key]> }
          : never
    >,
    Gives
  >,
): Signature<'chord', NeedsAll<Header extends AnyGroup ? Header : EachOf<Header>>, Gives['~out']>;
export function chord(header: Members | Part, body: unknown): unknown {
  const first = headerOf(header);
  const last = partOf(body, 'The body of the chord');
  return new Composition(
    { kind: 'chord', header: first.expression, body: expressionOf(last) },
    oneSender([first.sender, last[SENDER]]),
  );
}

function headerOf(header: Members | Part): { expression: CanvasExpression; sender: Sender | undefined } {
  if (!isSigned(header)) {
    const { sender, ...parts } = membersOf(header, 'the chord’s header');
    return { expression: { kind: 'group', ...parts }, sender };
  }
  const expression = expressionOf(header);
  if (expression.kind === 'group') return { expression, sender: header[SENDER] };
  throw new CanvasError(
    `The header of the chord is a ${expression.kind}, not a group. Pass its members as a list or a record, or group(…).`,
  );
}
