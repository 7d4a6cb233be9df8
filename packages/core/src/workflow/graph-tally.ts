/** Counts the jobs of a workflow by state, and folds equal members of large groups to one part. */
import { memberOf } from '../job/ids.js';
import {
  type Added,
  added,
  type Follower,
  type GraphNode,
  hasEnded,
  type Part,
  partsOf,
  type StateCounts,
  summaryOf,
  totalOf,
  WAIT_LABEL,
  withParts,
} from './graph-parts.js';

// Folding.

/** A larger number of equal members is folded. */
export const FOLD = 20;

/** Replaces members with the same shape and key by one entry. Members are equal if they differ only in their inputs. */
export function folded<Entry extends { readonly part: Part }>(
  entries: readonly Entry[],
  keyOf: (entry: Entry) => string,
): readonly Entry[] {
  if (sizeOf(entries) <= FOLD) return entries;
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const { id, addedBy } = entry.part;
    const list = addedBy === undefined ? memberOf(id)?.group : undefined;
    const key = list === undefined ? id : JSON.stringify([list, keyOf(entry), nodeShapeOf(entry.part)]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [entry]);
    else group.push(entry);
  }
  const used = new Map<string, number>();
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    const member = first && memberOf(first.part.id);
    if (first === undefined || member === undefined || sizeOf(group) <= FOLD) return group;
    const number = (used.get(member.group) ?? 0) + 1;
    used.set(member.group, number);
    const star = `${member.group}.*${number > 1 ? number : ''}`;
    const part = zipped(
      first.part,
      group.map((entry) => entry.part),
    );
    return [{ ...first, part: relocated(part, member.member, star) }];
  });
}

/**
 * Returns a part that represents many members.
 * @param states The states of the members.
 * @param active The number of running jobs by node id (with `*`).
 */
export function repeated(
  part: Part,
  states: StateCounts,
  active: ReadonlyMap<string, number> = new Map(),
): Part {
  const member = memberOf(part.id);
  const times = totalOf(states);
  if (member === undefined) return part;
  const many = (next: Part): Part => {
    const { node, ...rest } = withParts(next, many);
    return { ...rest, ...(node !== undefined && { node: manyOf(node, states, active) }) };
  };
  return { ...many(relocated(part, member.member, `${member.group}.*`)), times };
}

function manyOf(
  { id, task, label, queue, kind, count = 1, startedAt, finishedAt }: GraphNode,
  states: StateCounts,
  active: ReadonlyMap<string, number>,
): GraphNode {
  const counts: Record<string, number> = {};
  for (const [state, members] of Object.entries(states)) if (members > 0) counts[state] = members * count;
  let running = active.get(id) ?? 0;
  for (const state of ['waiting', 'pending']) {
    const moved = Math.min(running, counts[state] ?? 0);
    if (moved === 0) continue;
    running -= moved;
    counts.active = (counts.active ?? 0) + moved;
    counts[state] = (counts[state] ?? 0) - moved;
    if (counts[state] === 0) delete counts[state];
  }
  return {
    ...{ id, task, label, queue, ...(kind !== undefined && { kind }) },
    state: summaryOf(counts),
    ...spanOf([{ startedAt, finishedAt }], counts),
    count: totalOf(counts),
    counts,
  };
}

type Times = { readonly [Field in 'startedAt' | 'finishedAt']?: Date | undefined };

/** Returns the earliest start, and once all jobs have ended the latest end. */
function spanOf(nodes: readonly Times[], counts: StateCounts): Pick<GraphNode, 'startedAt' | 'finishedAt'> {
  const starts = nodes.flatMap(({ startedAt }) => startedAt?.getTime() ?? []);
  const ends = nodes.flatMap(({ finishedAt }) => finishedAt?.getTime() ?? []);
  const hasAllEnded = Object.keys(counts).every((state) => counts[state] === 0 || hasEnded(state));
  return {
    ...(starts.length > 0 && { startedAt: new Date(smallest(starts)) }),
    ...(hasAllEnded && ends.length > 0 && { finishedAt: new Date(-smallest(ends.map((end) => -end))) }),
  };
}

/** A run may have more jobs than a call may have arguments. */
const smallest = (times: readonly number[]) => times.reduce((least, time) => Math.min(least, time));

/** Returns the first of several equal parts, with the earliest start and the latest end of the jobs of all. */
export function spanning(first: Part, parts: readonly Part[]): Part {
  const inner = parts.map(partsOf);
  let index = 0;
  const { node, ...rest } = withParts(first, (part) => {
    const same = inner.flatMap((each) => each[index] ?? []);
    index += 1;
    return spanning(part, same);
  });
  const nodes = parts.flatMap((part) => part.node ?? []);
  return { ...rest, ...(node !== undefined && { node: { ...node, ...spanOf(nodes, {}) } }) };
}

/** Returns a text that is equal for parts that differ only in their inputs. */
export function nodeShapeOf(part: Part): string {
  return JSON.stringify(shaped(part));
}

function shaped({ node, before, adds, followers }: Part): unknown {
  return [
    node === undefined ? 0 : [node.task, node.queue, node.isEach],
    before.map(shaped),
    adds === undefined ? 0 : adds.parts.map(({ part, label, chance }) => [shaped(part), label, chance]),
    (followers ?? []).map(({ part, ...how }) => [shaped(part), how]),
  ];
}

/** Merges parts of the same shape, and counts their states. */
function zipped(first: Part, parts: readonly Part[]): Part {
  const inner = parts.map(partsOf);
  let index = 0;
  const { node, ...rest } = withParts(first, (part) => {
    const same = inner.map((each) => each[index] ?? part);
    index += 1;
    return zipped(part, same);
  });
  const nodes = parts.map((part) => part.node).filter((each) => each !== undefined);
  return {
    ...rest,
    times: sizeOf(parts.map((part) => ({ part }))),
    ...(node !== undefined && { node: zippedNode(node, nodes) }),
  };
}

function zippedNode(first: GraphNode, nodes: readonly GraphNode[]): GraphNode {
  const { id, task, queue, isEach, kind } = first;
  const other = kind === undefined ? task : WAIT_LABEL[kind];
  const label = nodes.every((node) => node.label === first.label) ? first.label : other;
  const named = { id, task, label, queue, ...(kind !== undefined && { kind }) };
  if (isEach) return { ...named, state: first.state, isEach };
  const counts = nodes.map(countsOf).reduce(added, {});
  return { ...named, state: summaryOf(counts), ...spanOf(nodes, counts), count: totalOf(counts), counts };
}

/** Returns the number of a node's jobs by state; empty if their number is not known yet. */
function countsOf({ state, count = 1, counts, isEach }: GraphNode): StateCounts {
  return isEach ? {} : (counts ?? { [state]: count });
}

/** Returns the part with the prefix `from` of all its ids replaced by `to`. */
function relocated(part: Part, from: string, to: string): Part {
  const moved = (id: string) => (isBelow(id, from) ? `${to}${id.slice(from.length)}` : id);
  const move = (next: Part): Part => {
    const { node, adds, addedBy, ...rest } = withParts(next, move);
    return {
      ...rest,
      id: moved(next.id),
      ...(node !== undefined && { node: { ...node, id: moved(node.id) } }),
      ...(adds !== undefined && { adds: { ...adds, below: moved(adds.below) } }),
      ...(addedBy !== undefined && { addedBy: moved(addedBy) }),
    };
  };
  return move(part);
}

/** Returns whether an id is at or below another: `0.1-2` is below `0.1`, but `0.12` is not. */
function isBelow(id: string, above: string): boolean {
  return id.startsWith(above) && !/^\d/.test(id.slice(above.length));
}

function sizeOf(entries: readonly { readonly part: Part }[]): number {
  return entries.reduce((sum, { part }) => sum + (part.times ?? 1), 0);
}

/**
 * Number of the user's task jobs in a workflow run by state. Every step of a member counts.
 * @example
 * const { done, total } = await result.counts();
 */
export interface RunCounts {
  /** Number of known jobs. It can grow until all fan-outs have run. */
  readonly total: number;
  /** Number of jobs that have ended in any state. */
  readonly done: number;
  readonly completed: number;
  readonly failed: number;
  readonly expired: number;
  readonly revoked: number;
  readonly skipped: number;
  readonly active: number;
  readonly waiting: number;
  readonly delayed: number;
  /** Jobs that wait for earlier steps, or are not added yet. */
  readonly pending: number;
  /** Jobs that are missing from the store. */
  readonly unknown: number;
}

/** Number of a user's task jobs. */
export interface Tally {
  readonly jobs: number;
  /** False if there may be more jobs. */
  readonly isExact: boolean;
  readonly states: StateCounts;
}

const NONE: Tally = { jobs: 0, isExact: true, states: {} };

/** Counts the jobs of a part, optionally with callbacks, under the assumption that nothing fails. */
export function tallyOf(part: Part, withCallbacks = false): Tally {
  let tally = NONE;
  const remaining = [part]; // not recursive, because a long chain is a deep tree
  for (let next = remaining.pop(); next !== undefined; next = remaining.pop()) {
    tally = sum(tally, singleTally(next, withCallbacks));
    for (const part of next.before) remaining.push(part); // a spread could exceed the maximum number of arguments
  }
  return tally;
}

/** Counts the jobs of a part without the parts that it waits for. */
function singleTally({ node, adds, followers = [], isOpen }: Part, withCallbacks: boolean): Tally {
  const all = (parts: readonly Part[]) => parts.map((each) => tallyOf(each, withCallbacks));
  const isTask = node !== undefined && node.kind === undefined;
  const states = isTask ? countsOf(node) : {};
  const tally: Tally = {
    jobs: totalOf(states),
    isExact: !isOpen && !(isTask && node.isEach),
    states,
  };
  const sure = (follower: Follower) =>
    follower.chance === 'sure' && (withCallbacks || follower.joins !== undefined);
  const tallies = [tally, ...all(followers.filter(sure).map((follower) => follower.part))];
  if (adds !== undefined) {
    const of = (chance: Added['chance']) =>
      all(adds.parts.filter((each) => each.chance === chance).map((each) => each.part));
    const choices = of('choice');
    if (adds.isOptional) choices.push(NONE);
    for (const tally of of('sure')) tallies.push(tally);
    tallies.push(least(choices));
  }
  return tallies.reduce(sum, NONE);
}

/** Returns the counts of a run. */
export function runCountsOf(part: Part): RunCounts {
  const { jobs, states } = tallyOf(part);
  const of = (state: string) => states[state] ?? 0;
  const done = totalOf(Object.fromEntries(Object.entries(states).filter(([state]) => hasEnded(state))));
  const pending = of('pending') + of('waiting-children');
  return {
    total: jobs,
    done,
    completed: of('completed'),
    failed: of('failed'),
    expired: of('expired'),
    revoked: of('revoked'),
    skipped: of('skipped'),
    active: jobs - done - pending - of('waiting') - of('delayed'), // includes custom states, which only running jobs have
    waiting: of('waiting'),
    delayed: of('delayed'),
    pending,
    unknown: of('unknown'),
  };
}

function sum(one: Tally, other: Tally): Tally {
  const states = added(one.states, other.states);
  return { jobs: one.jobs + other.jobs, isExact: one.isExact && other.isExact, states };
}

/** Returns the tally with the fewest jobs. It is exact only if all have the same number. */
function least(tallies: readonly Tally[]): Tally {
  const [first, ...others] = tallies;
  if (first === undefined) return NONE;
  const fewest = others.reduce((one, other) => (other.jobs < one.jobs ? other : one), first);
  return { ...fewest, isExact: tallies.every(({ jobs, isExact }) => isExact && jobs === fewest.jobs) };
}
