import { InvalidOptionError, type OutputOf, type Signature, type StepOutcome } from '@umbel/core';
import { checkInteger, checkOptions, type OptionNames } from '@umbel/core/internal';
import { Composition } from './composition.js';
import type { JoinPolicy } from './expression.js';
import { checkCount, membersOf } from './members.js';
import type { EachOf, Listed, Members, NeedsAll } from './types/flow.js';

export interface GroupOptions {
  /**
   * What becomes of the other members once the outcome of the group is certain: with `true`, those that have not started
   * are skipped; with `'running'`, those that run are given up as well: their `ctx.signal` is aborted, and whatever they
   * give is ignored. Default false: all run to their end.
   */
  cancelSiblings?: boolean | 'running' | undefined;
}

/**
 * Builds groups: members in parallel. A list gives a list of results, a tuple a tuple and a record a record, in declared
 * order whatever finishes first. After another step, every member receives that step's result.
 *
 * Members can be given by any iterable or async iterable, which is read while the group is sent and gives a list; such a
 * group has no JSON.
 */
export interface GroupFunction {
  /**
   * The results of all members. If one fails, the group fails at once with that error; members already sent still run
   * to their end. An empty group gives `[]` (or `{}`).
   * @throws {CanvasError} if a member is not a step; of one that is read lazily, when it is sent.
   */
  <const Group extends Members>(
    members: Group,
    options?: GroupOptions,
  ): Signature<
    'group',
    NeedsAll<EachOf<Group>>,
    Listed<Group> extends infer List ? { -readonly [Key in keyof List]: OutputOf<List[Key]> } : never
  >;
  /**
   * What became of each member, once all have ended: a `StepOutcome` in the place of each result. Never fails because a
   * member does. An empty group gives `[]` (or `{}`).
   * @throws {CanvasError} as `group`.
   */
  settled<const Group extends Members>(
    members: Group,
  ): Signature<
    'group',
    NeedsAll<EachOf<Group>>,
    Listed<Group> extends infer List
      ? { -readonly [Key in keyof List]: StepOutcome<OutputOf<List[Key]>> }
      : never
  >;
  /**
   * The result of the member that succeeds first. Fails once all have failed.
   * @throws {CanvasError} if there is no member, or as `group`.
   */
  any<const Group extends Members>(
    members: Group,
    options?: GroupOptions,
  ): Signature<'group', NeedsAll<EachOf<Group>>, OutputOf<EachOf<Group>>>;
  /**
   * The results of those members that have succeeded once `count` have, in declared order: that many, or more. Fails once
   * so many have failed that it cannot be.
   * @throws {InvalidOptionError} unless `count` is a whole number of at least 1.
   * @throws {CanvasError} if there are fewer members, or as `group`.
   */
  atLeast<const Group extends Members>(
    count: number,
    members: Group,
    options?: GroupOptions,
  ): Signature<'group', NeedsAll<EachOf<Group>>, OutputOf<EachOf<Group>>[]>;
}

const OPTIONS: OptionNames<GroupOptions> = { cancelSiblings: true };

function build(members: Members, options: GroupOptions = {}, policy?: JoinPolicy): Composition {
  const { cancelSiblings } = checkOptions(options, OPTIONS);
  if (![undefined, false, true, 'running'].includes(cancelSiblings)) {
    throw new InvalidOptionError('cancelSiblings', "true, false or 'running'", cancelSiblings);
  }
  const { sender, keys, ...parts } = membersOf(members, 'the group');
  checkCount(policy, parts.members);
  const isRecord = keys !== undefined && (policy === undefined || policy.kind === 'settled');
  return new Composition(
    {
      kind: 'group',
      ...parts,
      ...(isRecord && { keys }),
      ...(policy !== undefined && { policy }),
      ...(cancelSiblings && { cancelSiblings }),
    },
    sender,
  );
}

export const group = /* @__PURE__ */ Object.assign(
  (members: Members, options?: GroupOptions) => build(members, options),
  {
    settled: (members: Members) => build(members, {}, { kind: 'settled' }),
    any: (members: Members, options?: GroupOptions) => build(members, options, { kind: 'any' }),
    atLeast: (count: number, members: Members, options?: GroupOptions) =>
      build(members, options, {
        kind: 'atLeast',
        count: checkInteger('count', count, 1, Number.MAX_SAFE_INTEGER),
      }),
  },
) as unknown as GroupFunction; // the types say what the members need and give, which no object carries at run time
