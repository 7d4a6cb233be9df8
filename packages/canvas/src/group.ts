import type { OutputOf, Signature } from '@umbel/core';
import { Composition, type Part, partOf, senderOf } from './composition.js';
import type { GroupExpression } from './expression.js';
import type { EachOf, Members, NeedsAll } from './types/flow.js';

/**
 * The members in parallel. A list gives a list of results, a tuple a tuple and a record a record, in declared order
 * whatever finishes first. After another step, every member receives that step's result.
 *
 * If a member fails, the group fails at once with that error; members already sent still run to their end.
 * An empty group gives `[]` (or `{}`).
 * @throws {CanvasError} if a member is not a step.
 */
export function group<const Group extends Members>(
  members: Group,
): Signature<'group', NeedsAll<EachOf<Group>>, { -readonly [Key in keyof Group]: OutputOf<Group[Key]> }>;
export function group(members: Members): unknown {
  const { expression, parts } = groupOf(members, 'the group');
  return new Composition(expression, senderOf(parts));
}

/** The members as one expression, with the parts it was made of. @throws {CanvasError} if one is not a step. */
export function groupOf(members: Members, owner: string): { expression: GroupExpression; parts: Part[] } {
  const keys = Array.isArray(members) ? undefined : Object.keys(members);
  const parts = Object.values(members).map((member: unknown, index) =>
    partOf(member, `Member ${keys === undefined ? index + 1 : `"${keys[index]}"`} of ${owner}`),
  );
  const expression: GroupExpression = {
    kind: 'group',
    members: parts.map((part) => part.toJSON()),
    ...(keys !== undefined && { keys }),
  };
  return { expression, parts };
}
