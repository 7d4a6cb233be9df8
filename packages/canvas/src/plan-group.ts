/**
 * This module plans groups, maps, branches and waits; `plan` uses it for their expressions. Members are stored with the run,
 * added by fan-outs, or sent after the run is stored.
 */
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
import { match } from 'ts-pattern';
import type { JoinPolicy } from './expression.js';
import type {
  NormalEach,
  NormalExpression,
  NormalFallback,
  NormalGroup,
  NormalMatch,
  NormalMember,
  NormalWait,
  NormalWhen,
} from './normalize.js';
import { CanvasError } from './part.js';

// Planned inputs and internal jobs

/** The jobs that a job waits for, and how it builds its input from their results. */
export interface PlannedInput {
  readonly after: Source;
  readonly children: readonly JobNode[];
}

/** Returns the input that brings the result of the previous step to a job. */
type Incoming = (parent: Parent) => PlannedInput;

/** The position of an expression in the job tree. */
export interface PlanPosition {
  readonly path: string;
  /** The job that takes the value of the expression. */
  readonly parent: Parent;
  /** Absent: the expression has its input, or gets it when the run is sent. */
  readonly incoming?: Incoming | undefined;
}

/** Plans the parts of a construct. */
export interface PartPlanner {
  readonly planning: Planning;
  /** Member streams of the run. Absent: no sender adds members later. */
  readonly streams: MemberStream[] | undefined;
  /** Plans an expression as the input of the job above its position. */
  plan(expression: NormalExpression, position: PlanPosition): PlannedInput;
  /** Plans the job of a part that is added later than the run, or is one of many. */
  later(expression: NormalMember, path: string): JobNode;
}

/** Returns the result of one job as an input. */
export function one(node: JobNode): PlannedInput {
  return { after: { step: node.path }, children: [node] };
}

/** Returns an internal job with its input. */
export function internal(name: string, path: string, input: PlannedInput): JobNode {
  return { path, name, queue: INTERNAL_QUEUE, options: INTERNAL_OPTIONS, ...input };
}

function fanOut(path: string, expansion: Expansion, incoming?: Incoming): JobNode {
  const input = incoming?.(internalPosition(path));
  return {
    path,
    name: INTERNAL_JOB.fanOut,
    queue: INTERNAL_QUEUE,
    options: INTERNAL_OPTIONS,
    expand: expansion,
    ...(input ?? { open: true }),
  };
}

/** Returns the position of an internal job that takes a value. */
export function internalPosition(path: string): Parent {
  return { path, queue: INTERNAL_QUEUE };
}

// Refusals

function notLazy(position: string): CanvasError {
  return new CanvasError(
    `Lazy members must start the workflow, but this group ${position}. ` +
      'Make a list of its members first: group([...members]).',
  );
}

function tooMany(count: number, limit: number): CanvasError {
  return new CanvasError(
    `A group has ${count} members, and the limit for a list is ${limit}. Pass an iterable, which is read while ` +
      'the group is sent, or raise createApp({ limits: { groupMembers } }).',
  );
}

/** @throws {CanvasError} if a key is `__proto__`: code that merges such a value would set its prototype. Workers refuse it. */
export function checkKeys(keys: readonly string[] = []): void {
  if (keys.includes('__proto__')) throw new CanvasError('Key "__proto__" is not allowed. Rename it.');
}

/** Whether a run accepts an input. An empty group accepts any, so that a computed list of members may be empty. */
export function takesInput(root: JobNode): boolean {
  for (const { open, after, children } of jobsOf(root)) {
    if (open === true || (after !== undefined && children?.length === 0)) return true;
  }
  return false;
}

/** Maximum number of members that are stored with the run in one transaction. */
const MAX_DIRECT_MEMBERS = 100;
/** Maximum number of members in fan-outs, which are stored with the run. The sender streams larger groups afterwards. */
const MAX_FAN_OUT_MEMBERS = 5000;

/** Where the members of a group are found. */
interface MemberSource {
  readonly count?: number;
  readonly sliced?: true;
  readonly via?: string;
}

export function planGroup(planner: PartPlanner, group: NormalGroup, position: PlanPosition): PlannedInput {
  const { policy, cancelSiblings } = group;
  const needed = policy === undefined ? undefined : neededSuccesses(policy);
  if (needed === undefined && !cancelSiblings) return planMembers(planner, group, position);
  const { path } = position;
  const input = planMembers(planner, group, { ...position, parent: internalPosition(path) });
  const join: JoinRule = {
    ...(needed !== undefined && { need: needed }),
    ...(policy?.kind === 'any' && { single: true }),
    ...(cancelSiblings && { cancel: true }),
    ...(cancelSiblings === 'running' && { abort: true }),
  };
  return one({ ...internal(INTERNAL_JOB.collect, path, input), join });
}

/** Returns how many members must succeed, or undefined if the group waits for all of them. */
function neededSuccesses(policy: JoinPolicy): number | undefined {
  return match(policy)
    .with({ kind: 'settled' }, () => undefined)
    .with({ kind: 'any' }, () => 1)
    .with({ kind: 'atLeast' }, ({ count }) => count)
    .exhaustive();
}

function planMembers(planner: PartPlanner, group: NormalGroup, position: PlanPosition): PlannedInput {
  const { members, keys, policy } = group;
  checkKeys(keys);
  const { path, incoming } = position;
  const isSettled = policy?.kind === 'settled';
  const isProbed = policy !== undefined && !isSettled;
  const nodeOf = (member: NormalMember, index: number): JobNode => {
    const node = planner.later(member, `${path}.${index}`);
    return isProbed ? probe(node) : isSettled ? { ...node, mayFail: true } : node;
  };
  if ('read' in members) {
    if (incoming !== undefined) throw notLazy('follows another step');
    return planStream(planner, group, position, isProbed, { members: () => eachOf(members.read(), nodeOf) });
  }
  const count = members.length;
  const { maxMembers } = planner.planning;
  if (count > maxMembers) throw tooMany(count, maxMembers);
  if (count <= MAX_DIRECT_MEMBERS && incoming === undefined) {
    return { after: sourceOf(group, path, { count }), children: members.map(nodeOf) };
  }
  if (count > MAX_FAN_OUT_MEMBERS && incoming === undefined && planner.streams !== undefined) {
    return planStream(planner, group, position, isProbed, {
      members: () => eachOf(members, nodeOf),
      listed: () => members.map(nodeOf),
    });
  }
  const isLarge = count > MAX_DIRECT_MEMBERS && !isProbed;
  const via = `${path}-fan`;
  return {
    after: sourceOf(group, path, { count, via, ...(isLarge && { sliced: true }) }),
    children: planFanOuts(members.map(nodeOf), via, position, isLarge),
  };
}

function sourceOf({ keys, policy, flat }: NormalGroup, path: string, found: MemberSource): Source {
  const rules = {
    ...(policy?.kind === 'settled' && { settled: true as const }),
    ...(flat && { chunked: true as const }),
  };
  if (keys === undefined) return { list: path, ...found, ...rules };
  const { sliced, via } = found;
  return { record: path, keys, ...(sliced && { sliced }), ...(via && { via }), ...rules };
}

/**
 * Plans a chain of fan-outs, one for each slice of the members. Each fan-out passes the previous result on to the next
 * one, because a job has only one parent and the members cannot all wait for the same step.
 */
function planFanOuts(
  nodes: readonly JobNode[],
  via: string,
  { path, parent, incoming }: PlanPosition,
  isLarge: boolean,
): readonly JobNode[] {
  const isOpen = nodes.some(takesInput);
  let before = incoming;
  for (let first = 0; first < Math.max(nodes.length, 1); first += SLICE) {
    const isLast = first + SLICE >= nodes.length;
    const fanPath = isLast ? via : `${via}${first / SLICE}`;
    const expansion: Expansion = {
      parent,
      members: nodes.slice(first, first + SLICE),
      ...(isLarge && { slice: { list: path, first } }),
      ...(!isLast && { passes: true }),
    };
    const { open: _open, ...closed } = fanOut(fanPath, expansion, before);
    const fan = isOpen && first === 0 && before === undefined ? { ...closed, open: true as const } : closed;
    before = () => ({ after: { step: fanPath, via: fanPath }, children: [fan] });
  }
  const input = before?.(parent);
  if (input === undefined) throw new RangeError('Bug in Umbel: a fan-out has no members.');
  return input.children;
}

/** Returns the path of the first fan-out of a group that follows a step. */
export function firstFanOf({ members }: NormalGroup, path: string): string {
  return 'read' in members || members.length <= SLICE ? `${path}-fan` : `${path}-fan0`;
}

/** Plans members that the sender adds after the run is stored. */
function planStream(
  { streams }: PartPlanner,
  group: NormalGroup,
  { path, parent }: PlanPosition,
  isProbed: boolean,
  members: Pick<MemberStream, 'members' | 'listed'>,
): PlannedInput {
  if (streams === undefined) throw notLazy('is sent later');
  const feed = `${path}-feed`;
  streams.push({ feed, list: path, parent, ...members, ...(isProbed && { unsliced: true }) });
  return {
    after: sourceOf(group, path, { via: feed }),
    children: [{ path: feed, name: INTERNAL_JOB.feed, queue: INTERNAL_QUEUE, options: STREAM_OPTIONS }],
  };
}

/** Returns a job that reports the outcome of a member to the join as soon as the member has ended. */
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

// Constructs that add a part once a value is known

/** Plans one step for each value of a list. */
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
  position: PlanPosition,
): PlannedInput {
  const { path, parent } = position;
  const nodes = Object.entries(cases).map(([name, step]) => [name, planner.later(step, `${path}^`)]);
  return planBranch({ parent, key, cases: Object.fromEntries(nodes) }, position);
}

export function planWhen(
  planner: PartPlanner,
  { test, onTrue, onFalse }: NormalWhen,
  position: PlanPosition,
): PlannedInput {
  const { path, parent, incoming } = position;
  const branches = {
    onTrue: planner.later(onTrue, `${path}^`),
    ...(onFalse !== undefined && { onFalse: planner.later(onFalse, `${path}^`) }),
  };
  if ('condition' in test) return planBranch({ parent, condition: test.condition, ...branches }, position);
  // The test and the chosen branch both need the previous result: a first fan-out passes it to both.
  const [decides, value, step] = [`${path}-fan`, `${path}-in`, `${path}^t`];
  const expansion = {
    parent: internalPosition(decides),
    members: [planner.later(test.step, step)],
    passes: true,
  } as const;
  const first = fanOut(value, expansion, incoming);
  const after = () => ({ after: { step: value, via: value }, children: [first] });
  return planBranch({ parent, tested: { step, value }, ...branches }, { ...position, incoming: after });
}

export function planFallback(
  planner: PartPlanner,
  { step, other }: NormalFallback,
  { path, incoming }: PlanPosition,
): PlannedInput {
  const parent = internalPosition(path);
  const input = planner.plan(step, { path: `${path}^`, parent, incoming });
  const members = [planner.later(other, `${path}^b`)];
  return one({ ...internal(INTERNAL_JOB.fallback, path, input), expand: { parent, members } });
}

/** Plans a fan-out that adds one step, or passes its own value on. */
function planBranch(expansion: Expansion, { path, incoming }: PlanPosition): PlannedInput {
  if ('cases' in expansion) checkKeys(Object.keys(expansion.cases));
  if ('condition' in expansion) checkKeys(Object.keys(expansion.condition ?? {}));
  const fan = `${path}-fan`;
  return { after: { step: `${path}^`, via: fan }, children: [fanOut(fan, expansion, incoming)] };
}

/** Plans the job of a wait. Without a previous step it takes the input of the run. */
export function planWait(
  { kind: _kind, options, ...wait }: NormalWait,
  position: PlanPosition,
): PlannedInput {
  const { path, incoming } = position;
  if (wait.into !== undefined) checkKeys([wait.into]);
  const node: JobNode = {
    path,
    name: INTERNAL_JOB.wait,
    queue: INTERNAL_QUEUE,
    options: { ...INTERNAL_OPTIONS, ...options },
    wait,
    ...(incoming?.(internalPosition(path)) ?? { open: true }),
  };
  return one(node);
}
