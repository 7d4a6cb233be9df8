/** Groups: members that are stored with the run, added by fan-outs, or sent once the run is stored. */
import {
  type Expansion,
  INTERNAL_JOB,
  INTERNAL_OPTIONS,
  INTERNAL_QUEUE,
  type JobNode,
  type JoinRule,
  jobsOf,
  type MemberStream,
  type Parent,
  type Planning,
  SLICE,
  type Source,
  STREAM_OPTIONS,
} from '@umbel/core/internal';
import type {
  NormalEach,
  NormalExpression,
  NormalFallback,
  NormalGroup,
  NormalMatch,
  NormalMember,
  NormalWhen,
} from './normalize.js';
import { CanvasError } from './part.js';

// What a waiting job needs, and the jobs that Umbel adds.

/** The jobs that a waiting job needs, and what it takes from them. */
export interface PlannedInput {
  readonly after: Source;
  readonly children: readonly JobNode[];
}

/** What brings the result of the previous step to a job. */
export type Incoming = (parent: Parent) => PlannedInput;

/** Where an expression stands. */
export interface PlanPosition {
  readonly path: string;
  /** The job that takes its value. */
  readonly parent: Parent;
  /** Absent: it has its input, or gets it when the run is sent. */
  readonly incoming?: Incoming | undefined;
}

/** Plans the parts of an expression, each construct by its own rule. */
export interface PartPlanner {
  readonly planning: Planning;
  /** Absent: nobody adds members later. */
  readonly feeds: MemberStream[] | undefined;
  /** What brings the value of an expression to the job above its place. */
  feed(expression: NormalExpression, place: PlanPosition): PlannedInput;
  /** The job of a part that is added later than the run, or is one of many. */
  later(expression: NormalMember, path: string): JobNode;
}

export function one(node: JobNode): PlannedInput {
  return { after: { step: node.path }, children: [node] };
}

export function internal(name: string, path: string, feed: PlannedInput): JobNode {
  return { path, name, queue: INTERNAL_QUEUE, options: INTERNAL_OPTIONS, ...feed };
}

export function fanOut(path: string, expansion: Expansion, incoming?: Incoming): JobNode {
  const feed = incoming?.(internalPosition(path));
  return {
    path,
    name: INTERNAL_JOB.fanOut,
    queue: INTERNAL_QUEUE,
    options: INTERNAL_OPTIONS,
    expand: expansion,
    ...(feed ?? { open: true }),
  };
}

/** An internal job, as what takes a value. */
export function internalPosition(path: string): Parent {
  return { path, queue: INTERNAL_QUEUE };
}

// What cannot be planned.

export function notLazy(place: string): CanvasError {
  return new CanvasError(
    `Lazy members must start the workflow, but this group ${place}. ` +
      'Make a list of its members first: group([...members]).',
  );
}

export function tooMany(count: number, limit: number): CanvasError {
  return new CanvasError(
    `A group has ${count} members, and the limit for a list is ${limit}. Pass an iterable, which is read while ` +
      'the group is sent, or raise createApp({ limits: { groupMembers } }).',
  );
}

/** A value with such a key would be taken for its prototype by whoever merges it; workers refuse it. */
export function checkKeys(keys: readonly string[] = []): void {
  if (keys.includes('__proto__')) throw new CanvasError('Key "__proto__" is not allowed. Rename it.');
}

/** Whether something of it is left open. An empty group takes any input, so that a list of members may turn out to be empty. */
export function takesInput(root: JobNode): boolean {
  for (const { open, after, children } of jobsOf(root)) {
    if (open === true || (after !== undefined && children?.length === 0)) return true;
  }
  return false;
}

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

export function planGroup(planner: PartPlanner, group: NormalGroup, place: PlanPosition): PlannedInput {
  const { policy, cancelSiblings } = group;
  const need = policy?.kind === 'any' ? 1 : policy?.kind === 'atLeast' ? policy.count : undefined;
  if (need === undefined && !cancelSiblings) return planMembers(planner, group, place);
  const { path } = place;
  const feed = planMembers(planner, group, { ...place, parent: internalPosition(path) });
  const join: JoinRule = {
    ...(need !== undefined && { need }),
    ...(policy?.kind === 'any' && { single: true }),
    ...(cancelSiblings && { cancel: true }),
    ...(cancelSiblings === 'running' && { abort: true }),
  };
  return one({ ...internal(INTERNAL_JOB.collect, path, feed), join });
}

function planMembers(planner: PartPlanner, group: NormalGroup, place: PlanPosition): PlannedInput {
  const { members, keys, policy } = group;
  checkKeys(keys);
  const { path, incoming } = place;
  const isSettled = policy?.kind === 'settled';
  const isProbed = policy !== undefined && !isSettled;
  const nodeOf = (member: NormalMember, index: number): JobNode => {
    const node = planner.later(member, `${path}.${index}`);
    return isProbed ? probe(node) : isSettled ? { ...node, mayFail: true } : node;
  };
  if ('read' in members) {
    if (incoming !== undefined) throw notLazy('follows another step');
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
  nodes: readonly JobNode[],
  via: string,
  { path, parent, incoming }: PlanPosition,
  isLarge: boolean,
): readonly JobNode[] {
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
  if (feed === undefined) throw new RangeError('Bug in Umbel: a fan-out has no members.');
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
  { path, parent }: PlanPosition,
  isProbed: boolean,
  members: Pick<MemberStream, 'members' | 'listed'>,
): PlannedInput {
  if (feeds === undefined) throw notLazy('is sent later');
  const feed = `${path}-feed`;
  feeds.push({ feed, list: path, parent, ...members, ...(isProbed && { unsliced: true }) });
  return {
    after: sourceOf(group, path, { via: feed }),
    children: [{ path: feed, name: INTERNAL_JOB.feed, queue: INTERNAL_QUEUE, options: STREAM_OPTIONS }],
  };
}

/** The job that tells its join at once how a member has ended. */
function probe(member: JobNode): JobNode {
  return internal(INTERNAL_JOB.probe, `${member.path}!`, one(member));
}

async function* eachOf(
  members: Iterable<NormalMember> | AsyncIterable<NormalMember>,
  nodeOf: (member: NormalMember, index: number) => JobNode,
): AsyncGenerator<JobNode> {
  let index = 0;
  for await (const member of members) {
    yield nodeOf(member, index);
    index += 1;
  }
}

// Constructs of which a part is added once a value is known.

/** One step for each value of a list. */
export function planEach(
  planner: PartPlanner,
  { step, keys, chunkSize }: NormalEach,
  { path, parent, incoming }: PlanPosition,
): PlannedInput {
  checkKeys(keys);
  const fan = `${path}-fan`;
  const expansion: Expansion = {
    parent,
    each: planner.later(step, `${path}.*`),
    list: path,
    ...(keys !== undefined && { keys }),
    ...(chunkSize !== undefined && { chunkSize }),
  };
  return {
    after: { list: path, via: fan, ...(chunkSize !== undefined && { chunked: true }) },
    children: [fanOut(fan, expansion, incoming)],
  };
}

export function planMatch(
  planner: PartPlanner,
  { key, cases }: NormalMatch,
  place: PlanPosition,
): PlannedInput {
  const nodes = Object.entries(cases).map(([name, step]) => [name, planner.later(step, `${place.path}^`)]);
  return branch({ parent: place.parent, key, cases: Object.fromEntries(nodes) }, place);
}

export function planWhen(
  planner: PartPlanner,
  { test, onTrue, onFalse }: NormalWhen,
  place: PlanPosition,
): PlannedInput {
  const { path, parent, incoming } = place;
  const branches = {
    onTrue: planner.later(onTrue, `${path}^`),
    ...(onFalse !== undefined && { onFalse: planner.later(onFalse, `${path}^`) }),
  };
  if ('condition' in test) return branch({ parent, condition: test.condition, ...branches }, place);
  // The step that decides and the one that is chosen both need the value: a first fan-out hands it to both.
  const [decides, value, step] = [`${path}-fan`, `${path}-in`, `${path}^t`];
  const expansion = {
    parent: internalPosition(decides),
    members: [planner.later(test.step, step)],
    passes: true,
  } as const;
  const first = fanOut(value, expansion, incoming);
  const after = () => ({ after: { step: value, via: value }, children: [first] });
  return branch({ parent, tested: { step, value }, ...branches }, { ...place, incoming: after });
}

export function planFallback(
  planner: PartPlanner,
  { step, other }: NormalFallback,
  { path, incoming }: PlanPosition,
): PlannedInput {
  const parent = internalPosition(path);
  const feed = planner.feed(step, { path: `${path}^`, parent, incoming });
  const members = [planner.later(other, `${path}^b`)];
  return one({ ...internal(INTERNAL_JOB.fallback, path, feed), expand: { parent, members } });
}

/** A fan-out that adds one step, or gives its own value on. */
function branch(expansion: Expansion, { path, incoming }: PlanPosition): PlannedInput {
  if ('cases' in expansion) checkKeys(Object.keys(expansion.cases));
  if ('condition' in expansion) checkKeys(Object.keys(expansion.condition ?? {}));
  const fan = `${path}-fan`;
  return { after: { step: `${path}^`, via: fan }, children: [fanOut(fan, expansion, incoming)] };
}
