import {
  type AnyResult,
  InvalidOptionError,
  type OutputOf,
  type Result,
  type Signature,
  type Step,
  type StepAfter,
  type StepOutcome,
} from '@umbel/core';
import {
  checkInteger,
  checkOptions,
  isSigned,
  type OptionNames,
  SENDER,
  type Sender,
} from '@umbel/core/internal';
import { Composition } from './composition.js';
import type { CanvasExpression, JoinPolicy, LazyMembers } from './expression.js';
import { isLazy, LazyList, readerOf } from './lazy.js';
import { CanvasError, expressionOf, oneSender, type Part, partOf, senderOf } from './part.js';
import type { EachOf, FirstStep, LastOf, Listed, Members, NeedsAll, PrevOf } from './types/flow.js';

/** Builds chains: each step's result is the next step's input, and the last result is the chain's. */
export interface ChainFunction {
  /**
   * The steps in sequence. If one fails, later ones do not run and the run fails with that error.
   *
   * Chains inside chains are spliced in; a chain of one step is that step.
   * @throws {CanvasError} if there is no step, or something that is not one.
   */
  <In, First extends AnyResult, Rest extends readonly unknown[]>(
    first: FirstStep<In, First>,
    ...rest: { [Key in keyof Rest]: StepAfter<PrevOf<First, Rest, Key>, Rest[Key]> }
  ): Signature<'chain', In, LastOf<First, Rest>>;
  /**
   * A chain of as many steps as the list has, where every step takes and gives `T`.
   * @throws {CanvasError} if the list is empty.
   */
  of<T>(steps: readonly Step<string, T, T>[]): Signature<'chain', T, T>;
}

function buildChain(values: readonly unknown[]): Composition {
  if (values.length === 0) throw new CanvasError('A chain needs at least one step.');
  const parts = values.map((value, index) => partOf(value, `Step ${index + 1} of the chain`));
  const steps = parts.flatMap((part) => stepsOf(expressionOf(part)));
  return new Composition({ kind: 'chain', steps }, senderOf(parts));
}

/** The steps of a chain that nothing is said about, else the expression: chains that grow in a loop do not nest. */
function stepsOf(expression: CanvasExpression): readonly CanvasExpression[] {
  const isPlainChain =
    expression.kind === 'chain' && expression.options === undefined && expression.callbacks === undefined;
  return isPlainChain ? expression.steps : [expression];
}

export const chain = /* @__PURE__ */ Object.assign((...steps: unknown[]) => buildChain(steps), {
  of: (steps: readonly unknown[]) => buildChain(steps),
}) as unknown as ChainFunction; // the types say what the steps need and give, which no object carries at run time

/** The chain of a signature and one more step. A chain is continued, so that many pipes give one flat chain. */
export function pipe(first: Part, next: unknown): Composition {
  const steps = stepsOf(expressionOf(first));
  const last = partOf(next, 'The argument of pipe');
  return new Composition({ kind: 'chain', steps: [...steps, expressionOf(last)] }, senderOf([first, last]));
}

// Members of groups and of headers, as expressions.

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

function buildGroup(members: Members, options: GroupOptions = {}, policy?: JoinPolicy): Composition {
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
  (members: Members, options?: GroupOptions) => buildGroup(members, options),
  {
    settled: (members: Members) => buildGroup(members, {}, { kind: 'settled' }),
    any: (members: Members, options?: GroupOptions) => buildGroup(members, options, { kind: 'any' }),
    atLeast: (count: number, members: Members, options?: GroupOptions) =>
      buildGroup(members, options, {
        kind: 'atLeast',
        count: checkInteger('count', count, 1, Number.MAX_SAFE_INTEGER),
      }),
  },
) as unknown as GroupFunction; // the types say what the members need and give, which no object carries at run time
