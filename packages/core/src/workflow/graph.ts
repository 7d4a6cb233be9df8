/** Workflow graphs: converts planned job trees to parts, and builds the public `RunGraph` of planned and stored runs. */
import type { MemberStream } from '../job/envelope.js';
import {
  type Callbacks,
  callbackId,
  type Expansion,
  foldTree,
  INTERNAL_JOB,
  INTERNAL_QUEUE,
  type JobNode,
  jobIdOf,
  nodesOf,
  relocated,
} from '../job/job-tree.js';
import {
  type Added,
  type Adds,
  type EdgeKind,
  type Follower,
  type GraphEdge,
  type GraphNode,
  type GraphState,
  type Part,
  withParts,
} from './graph-parts.js';
import { tallyOf } from './graph-tally.js';
import { dotOf, drawn, mermaidOf } from './graph-text.js';
import { loopPart, waitNodeOf } from './graph-waits.js';

// From planned jobs to parts.

export interface Plan {
  /** The id of the run; empty before the send. */
  readonly run: string;
  readonly state: GraphState;
  readonly feeds?: readonly MemberStream[];
}

/** Returns the part of a planned job, with everything it waits for and adds. */
export function plannedPart(root: JobNode, plan: Plan): Part {
  return foldTree<Part>(root, (node, before = []) => partOf(node, before, plan));
}

function partOf(node: JobNode, before: readonly Part[], plan: Plan): Part {
  const { path, name, queue, options = {}, expand, callbacks } = node;
  const id = idOf(plan, path);
  const place = { id: id === '' ? '0' : id, queue, state: plan.state };
  const waiting = queue === INTERNAL_QUEUE ? waitNodeOf(name, place, node) : undefined;
  const feed = plan.feeds?.find((each) => each.feed === path);
  const isFallback = name === INTERNAL_JOB.fallback;
  const isLoop = expand !== undefined && 'body' in expand;
  const followers = [
    ...(isFallback && expand !== undefined ? [otherStep(expand, plan)] : []),
    ...plannedCallbacks(id, callbacks, plan.state),
  ].filter((follower) => follower !== undefined);
  const part: Part = {
    id,
    before,
    ...(waiting !== undefined && { node: waiting }),
    ...(queue !== INTERNAL_QUEUE && { node: { ...place, task: name, label: options.displayName ?? name } }),
    ...(expand !== undefined && !isFallback && !isLoop && { adds: plannedAdds(expand, plan) }),
    ...(feed !== undefined && fedParts(feed, plan)),
    ...(followers.length > 0 && { followers }),
  };
  if (!isLoop) return part;
  const [turn, test] = nodesOf(expand).map((next) => plannedPart(next, plan));
  return turn === undefined ? part : loopPart(part, turn, test);
}

/** Returns the parts that a fan-out may add. */
export function plannedAdds(expansion: Expansion, plan: Plan): Adds {
  const labels = labelsOf(expansion);
  const choice = { chance: labels === undefined ? 'sure' : 'choice' } as const;
  const parts = nodesOf(expansion).map((node, index): Added => {
    const label = labels?.[index];
    if (label === undefined) return { part: plannedPart(node, plan), ...choice };
    // All branches are planned at the same path, so each gets a suffix.
    return { part: plannedPart(relocated(node, node.path, `${node.path}:${index}`), plan), label, ...choice };
  });
  const isEach = 'each' in expansion;
  return {
    below: idOf(plan, expansion.parent.path),
    parts: isEach ? parts.map((added) => ({ ...added, part: forEach(added.part) })) : parts,
    ...('members' in expansion && expansion.passes && { passes: true }),
    ...('onTrue' in expansion && expansion.onFalse === undefined && { isOptional: true }),
    ...('onTrue' in expansion && expansion.tested !== undefined && { isDecided: true }),
  };
}

/** Returns the labels of an expansion's branches, in the order of `nodesOf`; undefined if it has no branches. */
export function labelsOf(expansion: Expansion): readonly string[] | undefined {
  if ('cases' in expansion) return Object.keys(expansion.cases);
  return 'onTrue' in expansion ? ['then', 'otherwise'] : undefined;
}

/** For each kind of callback: the kind of its edges, and whether it is sent if nothing fails. */
export const CALLBACKS = {
  success: { kind: 'link', chance: 'sure' },
  failure: { kind: 'linkError', chance: 'none' },
  always: { kind: 'finally', chance: 'sure' },
} as const satisfies Record<keyof Callbacks, { kind: EdgeKind; chance: Follower['chance'] }>;

/** Returns the callbacks of a job, with their kinds and ids. */
export function callbacksOf(job: string, callbacks: Callbacks = {}) {
  const kinds = Object.keys(CALLBACKS) as (keyof Callbacks)[];
  return kinds.flatMap((moment) =>
    (callbacks[moment] ?? []).map((node, index) => ({ moment, node, id: callbackId(job, moment, index) })),
  );
}

function plannedCallbacks(job: string, callbacks: Callbacks | undefined, state: GraphState): Follower[] {
  return callbacksOf(job, callbacks).map(({ moment, node, id }) => ({
    part: plannedPart(node, { run: id, state }),
    ...CALLBACKS[moment],
  }));
}

/** Returns the other step of a fallback, which runs if the first fails. */
function otherStep(expansion: Expansion, plan: Plan): Follower | undefined {
  const [node] = nodesOf(expansion);
  return node && { part: plannedPart(node, plan), kind: 'fallback', chance: 'none', joins: 'also' };
}

/** Returns the members that a sender will add, if their inputs can be read now. */
function fedParts({ listed, parent }: MemberStream, plan: Plan): Pick<Part, 'adds' | 'isOpen'> {
  if (listed === undefined) return { isOpen: true };
  const parts = Array.from(listed(), (node): Added => ({ part: plannedPart(node, plan), chance: 'sure' }));
  return { adds: { below: idOf(plan, parent.path), parts } };
}

function forEach(part: Part): Part {
  const { node, ...rest } = withParts(part, forEach);
  return { ...rest, ...(node !== undefined && { node: { ...node, isEach: true } }) };
}

function idOf({ run }: Plan, path: string): string {
  return run === '' ? path : jobIdOf(run, path);
}

/**
 * The user's tasks of a workflow run or a call, and their order. Equal members of a large group are one node.
 * @example
 * console.log(chain(resize, upload).graph().toMermaid()); // before sending
 * const { nodes } = await result.graph(); // with the current states
 */
export interface RunGraph {
  /** The id of the run. Absent before the send. */
  readonly id?: string;
  /** Earlier tasks and waits first. */
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  /** Number of task jobs, including callbacks, if nothing fails. Failure callbacks and branches not taken do not count. */
  readonly jobs: number;
  /** False if the number depends on unknown values, such as the length of a list. Then `jobs` is a lower bound. */
  readonly isExact: boolean;
  /** Returns the graph as plain data. */
  toJSON(): RunGraphJson;
  /** Returns a `flowchart LR` of Mermaid, with the states as classes. */
  toMermaid(): string;
  /** Returns a `digraph` of Graphviz. */
  toDot(): string;
}

/** A graph as JSON, with times as ISO strings. */
export interface RunGraphJson extends Pick<RunGraph, 'id' | 'edges' | 'jobs' | 'isExact'> {
  readonly nodes: readonly (Omit<GraphNode, 'startedAt' | 'finishedAt' | 'until'> & {
    readonly until?: string;
    readonly startedAt?: string;
    readonly finishedAt?: string;
  })[];
}

/** Returns the graph of a stored run or, without an id, of one that is not sent. */
export function runGraph(part: Part, id?: string): RunGraph {
  const { nodes, edges } = drawn(part);
  const { jobs, isExact } = tallyOf(part, true);
  const plain = {
    ...(id !== undefined && { id }),
    nodes: id === undefined ? nodes.map(withoutCounts) : nodes,
    edges,
    jobs,
    isExact,
  };
  return {
    ...plain,
    toJSON: () => ({ ...plain, nodes: plain.nodes.map(jsonOf) }),
    toMermaid: () => mermaidOf(plain),
    toDot: () => dotOf(plain),
  };
}

/** Returns the graph of a planned workflow that is not sent. */
export function plannedGraph(root: JobNode, feeds: readonly MemberStream[] = []): RunGraph {
  return runGraph(plannedPart(root, { run: '', state: 'pending', feeds }));
}

/** Removes the counts by state, which have no meaning before the send. */
function withoutCounts({ counts: _counts, ...node }: GraphNode): GraphNode {
  return node;
}

function jsonOf({ startedAt, finishedAt, until, ...node }: GraphNode): RunGraphJson['nodes'][number] {
  return {
    ...node,
    ...(until !== undefined && { until: until.toISOString() }),
    ...(startedAt !== undefined && { startedAt: startedAt.toISOString() }),
    ...(finishedAt !== undefined && { finishedAt: finishedAt.toISOString() }),
  };
}
