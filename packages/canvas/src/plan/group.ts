/** Groups: members that are stored with the run, added by fan-outs, or sent once the run is stored. */
import {
  type Expansion,
  FEED_OPTIONS,
  type FlowNode,
  INTERNAL_JOB,
  INTERNAL_QUEUE,
  type JoinRule,
  type MembersFeed,
  SLICE,
  type Source,
} from '@umbel/core/internal';
import type { NormalGroup, NormalMember } from '../normalize.js';
import { type Feed, fanOut, internal, internalPlace, one, type PartPlanner, type Place } from './feed.js';
import { checkKeys, notLazy, tooMany } from './refusals.js';
import { takesInput } from './takes-input.js';

/** Members that are added together with the run, in one transaction. */
const DIRECT = 100;
/** More members than this are sent once the run is stored; as many as this, in parts that are stored with it. */
const FED = 5000;

/** Where the members of a group are found. */
interface Found {
  readonly count?: number;
  readonly sliced?: true;
  readonly via?: string;
}

export function planGroup(planner: PartPlanner, group: NormalGroup, place: Place): Feed {
  const { policy, cancelSiblings } = group;
  const need = policy?.kind === 'any' ? 1 : policy?.kind === 'atLeast' ? policy.count : undefined;
  if (need === undefined && !cancelSiblings) return planMembers(planner, group, place);
  const { path } = place;
  const feed = planMembers(planner, group, { ...place, parent: internalPlace(path) });
  const join: JoinRule = {
    ...(need !== undefined && { need }),
    ...(policy?.kind === 'any' && { single: true }),
    ...(cancelSiblings && { cancel: true }),
    ...(cancelSiblings === 'running' && { abort: true }),
  };
  return one({ ...internal(INTERNAL_JOB.collect, path, feed), join });
}

function planMembers(planner: PartPlanner, group: NormalGroup, place: Place): Feed {
  const { members, keys, policy } = group;
  checkKeys(keys);
  const { path, incoming } = place;
  const isSettled = policy?.kind === 'settled';
  const isProbed = policy !== undefined && !isSettled;
  const nodeOf = (member: NormalMember, index: number): FlowNode => {
    const node = planner.later(member, `${path}.${index}`);
    return isProbed ? probe(node) : isSettled ? { ...node, mayFail: true } : node;
  };
  if ('read' in members) {
    if (incoming !== undefined) throw notLazy('stands after another step');
    return fed(planner, group, place, isProbed, { members: () => eachOf(members.read(), nodeOf) });
  }
  const count = members.length;
  const { maxMembers } = planner.planning;
  if (count > maxMembers) throw tooMany(count, maxMembers);
  if (count <= DIRECT && incoming === undefined) {
    return { after: sourceOf(group, path, { count }), children: members.map(nodeOf) };
  }
  if (count > FED && incoming === undefined && planner.feeds !== undefined) {
    return fed(planner, group, place, isProbed, {
      members: () => eachOf(members, nodeOf),
      listed: () => members.map(nodeOf),
    });
  }
  const isLarge = count > DIRECT && !isProbed;
  const via = `${path}-fan`;
  return {
    after: sourceOf(group, path, { count, via, ...(isLarge && { sliced: true }) }),
    children: fannedOut(members.map(nodeOf), via, place, isLarge),
  };
}

function sourceOf({ keys, policy, flat }: NormalGroup, path: string, found: Found): Source {
  const own = {
    ...(policy?.kind === 'settled' && { settled: true as const }),
    ...(flat && { chunked: true as const }),
  };
  if (keys === undefined) return { list: path, ...found, ...own };
  const { sliced, via } = found;
  return { record: path, keys, ...(sliced && { sliced }), ...(via && { via }), ...own };
}

/**
 * A fan-out for each slice of the members. A tree cannot share a child among them, so they are added once their common
 * step has given its result, which each fan-out hands to the next one.
 */
function fannedOut(
  nodes: readonly FlowNode[],
  via: string,
  { path, parent, incoming }: Place,
  isLarge: boolean,
): readonly FlowNode[] {
  const isOpen = nodes.some(takesInput);
  let before = incoming;
  for (let first = 0; first < Math.max(nodes.length, 1); first += SLICE) {
    const isLast = first + SLICE >= nodes.length;
    const own = isLast ? via : `${via}${first / SLICE}`;
    const expansion: Expansion = {
      parent,
      members: nodes.slice(first, first + SLICE),
      ...(isLarge && { slice: { list: path, first } }),
      ...(!isLast && { passes: true }),
    };
    const { open: _open, ...closed } = fanOut(own, expansion, before);
    const fan = isOpen && first === 0 && before === undefined ? { ...closed, open: true as const } : closed;
    before = () => ({ after: { step: own, via: own }, children: [fan] });
  }
  const feed = before?.(parent);
  if (feed === undefined) throw new RangeError('a fan-out without members');
  return feed.children;
}

/** The first of the fan-outs of a group that stands after a step. */
export function firstFanOf({ members }: NormalGroup, path: string): string {
  return 'read' in members || members.length <= SLICE ? `${path}-fan` : `${path}-fan0`;
}

/** Members that the sender adds once the run is stored. */
function fed(
  { feeds }: PartPlanner,
  group: NormalGroup,
  { path, parent }: Place,
  isProbed: boolean,
  members: Pick<MembersFeed, 'members' | 'listed'>,
): Feed {
  if (feeds === undefined) throw notLazy('is no part of what is sent first');
  const feed = `${path}-feed`;
  feeds.push({ feed, list: path, parent, ...members, ...(isProbed && { unsliced: true }) });
  return {
    after: sourceOf(group, path, { via: feed }),
    children: [{ path: feed, name: INTERNAL_JOB.feed, queue: INTERNAL_QUEUE, options: FEED_OPTIONS }],
  };
}

/** The job that tells its join at once how a member has ended. */
function probe(member: FlowNode): FlowNode {
  return internal(INTERNAL_JOB.probe, `${member.path}!`, one(member));
}

async function* eachOf(
  members: Iterable<NormalMember> | AsyncIterable<NormalMember>,
  nodeOf: (member: NormalMember, index: number) => FlowNode,
): AsyncGenerator<FlowNode> {
  let index = 0;
  for await (const member of members) {
    yield nodeOf(member, index);
    index += 1;
  }
}
