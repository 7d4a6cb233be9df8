/** How many jobs a run makes, and where they stand. */
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
  withParts,
} from './graph-parts.js';

// Members of a large group that are the same but for their inputs, drawn as one.

/** More of them are folded. */
export const FOLD = 20;

/** The list with one entry in the place of many members with the same shape and the same `key`. */
export function folded<Entry extends { readonly part: Part }>(
  entries: readonly Entry[],
  keyOf: (entry: Entry) => string,
): readonly Entry[] {
  if (sizeOf(entries) <= FOLD) return entries;
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const { id, addedBy } = entry.part;
    const list = addedBy === undefined ? memberOf(id)?.group : undefined;
    const key = list === undefined ? id : JSON.stringify([list, keyOf(entry), shapeOf(entry.part)]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [entry]);
    else group.push(entry);
  }
  const used = new Map<string, number>();
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    const member = first && memberOf(first.part.id);
    if (first === undefined || member === undefined || sizeOf(group) <= FOLD) return group;
    const turn = (used.get(member.group) ?? 0) + 1;
    used.set(member.group, turn);
    const star = `${member.group}.*${turn > 1 ? turn : ''}`;
    const part = zipped(
      first.part,
      group.map((entry) => entry.part),
    );
    return [{ ...first, part: relocated(part, member.member, star) }];
  });
}

/** The part as it stands for many members: `states` of them, and those of `active`, by ids with `*`, that run now. */
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
  { id, task, label, queue, count = 1 }: GraphNode,
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
  return { id, task, label, queue, state: summaryOf(counts), count: totalOf(counts), counts };
}

/** What a part has in common with those that are the same but for their inputs. */
export function shapeOf(part: Part): string {
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

/** Parts of one shape as one, with their states counted. */
function zipped(first: Part, parts: readonly Part[]): Part {
  const inner = parts.map(partsOf);
  let place = 0;
  const { node, ...rest } = withParts(first, (own) => {
    const same = inner.map((each) => each[place] ?? own);
    place += 1;
    return zipped(own, same);
  });
  const nodes = parts.map((part) => part.node).filter((each) => each !== undefined);
  return {
    ...rest,
    times: sizeOf(parts.map((part) => ({ part }))),
    ...(node !== undefined && { node: zippedNode(node, nodes) }),
  };
}

function zippedNode(first: GraphNode, nodes: readonly GraphNode[]): GraphNode {
  const { id, task, queue, isEach } = first;
  const label = nodes.every((node) => node.label === first.label) ? first.label : task;
  if (isEach) return { id, task, label, queue, state: first.state, isEach };
  const counts = nodes.map(countsOf).reduce(added, {});
  return { id, task, label, queue, state: summaryOf(counts), count: totalOf(counts), counts };
}

/** The jobs that a node stands for, by state. None as long as nobody knows how many they are. */
export function countsOf({ state, count = 1, counts, isEach }: GraphNode): StateCounts {
  return isEach ? {} : (counts ?? { [state]: count });
}

/** The part with the ids that begin with `from` beginning with `to`. */
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

/** `0.1` is above `0.1-2`, and not above `0.12`. */
function isBelow(id: string, above: string): boolean {
  return id.startsWith(above) && !/^\d/.test(id.slice(above.length));
}

function sizeOf(entries: readonly { readonly part: Part }[]): number {
  return entries.reduce((sum, { part }) => sum + (part.times ?? 1), 0);
}

/** The user's tasks of a run by state. Members that are compositions count step by step. */
export interface RunCounts {
  /** As far as they are known: at the least, while a fan-out has not run. */
  readonly total: number;
  /** Those that have ended in any way. */
  readonly done: number;
  readonly completed: number;
  readonly failed: number;
  readonly expired: number;
  readonly revoked: number;
  readonly skipped: number;
  readonly active: number;
  readonly waiting: number;
  readonly delayed: number;
  /** Waiting for earlier tasks, or not added yet. */
  readonly pending: number;
  /** Gone from the store. */
  readonly unknown: number;
}

/** Jobs of a user's tasks. */
export interface Tally {
  readonly jobs: number;
  /** False if there may be more. */
  readonly isExact: boolean;
  readonly states: StateCounts;
}

const NONE: Tally = { jobs: 0, isExact: true, states: {} };

/** The jobs of a part; with those that follow the run, if asked for. Nothing is expected to fail. */
export function tallyOf(part: Part, withCallbacks = false): Tally {
  let tally = NONE;
  const left = [part]; // a long chain is a deep tree
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    tally = sum(tally, ownTally(next, withCallbacks));
    for (const part of next.before) left.push(part); // too many for the arguments of one call
  }
  return tally;
}

/** The jobs of a part without those that it waits for. */
function ownTally({ node, adds, followers = [], isOpen }: Part, withCallbacks: boolean): Tally {
  const all = (parts: readonly Part[]) => parts.map((each) => tallyOf(each, withCallbacks));
  const states = node === undefined ? {} : countsOf(node);
  const own: Tally = {
    jobs: totalOf(states),
    isExact: !isOpen && !node?.isEach,
    states,
  };
  const sure = (follower: Follower) =>
    follower.chance === 'sure' && (withCallbacks || follower.joins !== undefined);
  const tallies = [own, ...all(followers.filter(sure).map((follower) => follower.part))];
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

/** The counts of a run. */
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
    active: jobs - done - pending - of('waiting') - of('delayed'), // a state of the task's own is one of those that run
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

/** The one with the fewest jobs. */
function least(tallies: readonly Tally[]): Tally {
  const [first, ...others] = tallies;
  if (first === undefined) return NONE;
  const fewest = others.reduce((one, other) => (other.jobs < one.jobs ? other : one), first);
  return { ...fewest, isExact: tallies.every(({ jobs, isExact }) => isExact && jobs === fewest.jobs) };
}
