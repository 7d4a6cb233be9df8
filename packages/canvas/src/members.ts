/** Members of groups and of headers, as expressions. */
import { SENDER, type Sender } from '@umbel/core/internal';
import { CanvasError } from './errors.js';
import type { CanvasExpression, JoinPolicy, LazyMembers } from './expression.js';
import { isLazy, LazyList, readerOf } from './lazy.js';
import { expressionOf, type Part, partOf, senderOf } from './part.js';
import type { Members } from './types/flow.js';

/** Members of a group, with their app as far as it is known. */
interface MemberExpressions {
  readonly members: readonly CanvasExpression[] | LazyMembers;
  /** Of a record. */
  readonly keys?: readonly string[];
  readonly sender: Sender | undefined;
}

/** The members as expressions. @throws {CanvasError} if one is not a step, or they belong to different apps. */
export function membersOf(members: Members, owner: string): MemberExpressions {
  if (isLazy(members)) {
    const lazy = new LazyList(readerOf(members), (member, index) => {
      const part = memberOf(member, index + 1, owner);
      return { expression: expressionOf(part), [SENDER]: part[SENDER] };
    });
    return { members: lazy, sender: undefined };
  }
  const keys = Array.isArray(members) ? undefined : Object.keys(members);
  const parts = Object.values(members).map((member: unknown, index) =>
    memberOf(member, keys === undefined ? index + 1 : `"${keys[index]}"`, owner),
  );
  return {
    members: parts.map(expressionOf),
    ...(keys !== undefined && { keys }),
    sender: senderOf(parts),
  };
}

/** @throws {CanvasError} if so few members can never be enough. */
export function checkCount(policy: JoinPolicy | undefined, members: MemberExpressions['members']): void {
  if (policy === undefined || policy.kind === 'settled' || 'read' in members) return;
  const needed = policy.kind === 'any' ? 1 : policy.count;
  if (members.length >= needed) return;
  const count = members.length === 0 ? 'none' : `only ${members.length}`;
  throw new CanvasError(`The group needs ${needed} of its members to succeed, but has ${count}.`);
}

function memberOf(value: unknown, place: number | string, owner: string): Part {
  return partOf(value, `Member ${place} of ${owner}`);
}
