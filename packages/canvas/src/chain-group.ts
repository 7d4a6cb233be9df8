/** This module builds chains, groups and chords, and checks how many members must succeed. */
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

/**
 * Builds chains: each step's result is the input of the next step, and the last result is the result of the chain.
 *
 * @example
 * const publish = await chain(resize, upload).delay({ path: 'a.png', width: 100 });
 */
export interface ChainFunction {
  /**
   * Runs the steps in sequence. If a step fails, later steps do not run, and the run fails with that error.
   *
   * Chains inside chains are flattened. A chain of one step is that step.
   * @throws {CanvasError} if there is no step, or an argument is not a step.
   */
  <In, First extends AnyResult, Rest extends readonly unknown[]>(
    first: FirstStep<In, First>,
    ...rest: { [Key in keyof Rest]: StepAfter<PrevOf<First, Rest, Key>, Rest[Key]> }
  ): Signature<'chain', In, LastOf<First, Rest>>;
  /**
   * Builds a chain from a list of steps that all take and return `T`.
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

/** Returns the steps of a chain without options and callbacks, so that chains that grow in a loop do not nest. */
function stepsOf(expression: CanvasExpression): readonly CanvasExpression[] {
  const isPlainChain =
    expression.kind === 'chain' && expression.options === undefined && expression.callbacks === undefined;
  return isPlainChain ? expression.steps : [expression];
}

/** Builds chains: steps that run in sequence. */
export const chain = /* @__PURE__ */ Object.assign((...steps: unknown[]) => buildChain(steps), {
  of: (steps: readonly unknown[]) => buildChain(steps),
}) as unknown as ChainFunction; // the types say what the steps need and give, which no object carries at run time

/** Returns a chain of a signature and one more step. Many pipes build one flat chain. */
export function pipe(first: Part, next: unknown): Composition {
  const steps = stepsOf(expressionOf(first));
  const last = partOf(next, 'The argument of pipe');
  return new Composition({ kind: 'chain', steps: [...steps, expressionOf(last)] }, senderOf([first, last]));
}

/** Members of a group or a header. `sender`: their app, if it is known. */
interface MemberExpressions {
  readonly members: readonly CanvasExpression[] | LazyMembers;
  /** The keys of a record of members. */
  readonly keys?: readonly string[];
  readonly sender: Sender | undefined;
}

/** Returns the members as expressions. @throws {CanvasError} if one is not a step, or they belong to different apps. */
function membersOf(members: Members, owner: string): MemberExpressions {
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

/** @throws {CanvasError} if a group has fewer members than must succeed. */
export function checkCount(policy: JoinPolicy | undefined, members: MemberExpressions['members']): void {
  if (policy === undefined || policy.kind === 'settled' || 'read' in members) return;
  const needed = policy.kind === 'any' ? 1 : policy.count;
  if (members.length >= needed) return;
  const count = members.length === 0 ? 'none' : `only ${members.length}`;
  throw new CanvasError(`The group needs ${needed} of its members to succeed, but has ${count}.`);
}

function memberOf(value: unknown, name: number | string, owner: string): Part {
  return partOf(value, `Member ${name} of ${owner}`);
}

/** A group of any kind, as the header of a chord. */
type AnyGroup = Step<'group', never, unknown>;

/**
 * Runs the members of the header in parallel, then the body once with all their results, in declared order. It equals
 * `chain(group(header), body)`. The header may also be a group with any policy: the body takes the group's result.
 *
 * If the header fails, the body does not run, and the run fails with that error. An empty header runs the body with `[]`.
 * @throws {CanvasError} if a member or the body is not a step.
 *
 * @example
 * const bill = chord([charge.s({ id: 'a' }), charge.s({ id: 'b' })], sendAlert.si({ text: 'Both were charged' }));
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

/** Options of groups that may end before all members have ended. */
export interface GroupOptions {
  /**
   * How to treat the other members once the outcome of the group is certain. `true` skips members that have not started.
   * `'running'` also aborts running members: their `ctx.signal` is aborted, and their result is ignored. Default false:
   * all members run to their end.
   */
  cancelSiblings?: boolean | 'running' | undefined;
}

/**
 * Builds groups, whose members run in parallel. A list returns a list of results, a tuple a tuple and a record a record,
 * in declared order. After another step, every member receives that step's result.
 *
 * Members may be any iterable or async iterable, which is read while the group is sent and returns a list. Such a group
 * has no JSON form.
 *
 * @example
 * const sent = await group({ mail: sendMail.s({ to: 'a@example.com' }), index: reindex.s({ shop: 1 }) }).delay();
 */
export interface GroupFunction {
  /**
   * Returns the results of all members. If one fails, the group fails at once with that error; members that were sent
   * still run to their end. An empty group returns `[]` (or `{}`).
   * @throws {CanvasError} if a member is not a step. A lazy member is checked when it is sent.
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
   * Returns a `StepOutcome` for each member, once all have ended. A failing member does not fail the group. An empty group
   * returns `[]` (or `{}`).
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
   * Returns the result of the member that succeeds first. Fails once all have failed.
   * @throws {CanvasError} if there is no member, or as `group`.
   */
  any<const Group extends Members>(
    members: Group,
    options?: GroupOptions,
  ): Signature<'group', NeedsAll<EachOf<Group>>, OutputOf<EachOf<Group>>>;
  /**
   * Returns the results of the members that have succeeded once at least `count` have, in declared order. Fails once too
   * many members have failed for that.
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

/** Builds groups: members that run in parallel. */
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
