/** Members of a large group that are the same but for their inputs, drawn as one. */
import { memberOf } from '../flow/path.js';
import type { GraphNode, StateCounts } from './node.js';
import { type Part, partsOf, withParts } from './part.js';
import { added, summaryOf, totalOf } from './states.js';

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
