/** The graph of a run, before or after it was sent. */

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

// Jobs that are planned, as parts of a graph.

export interface Plan {
  /** The id of the run; empty before there is one. */
  readonly run: string;
  readonly state: GraphState;
  readonly feeds?: readonly MemberStream[];
}

/** A planned job, with all that it waits for and adds. */
export function plannedPart(root: JobNode, plan: Plan): Part {
  return foldTree<Part>(root, (node, before = []) => partOf(node, before, plan));
}

function partOf(node: JobNode, before: readonly Part[], plan: Plan): Part {
  const { path, name, queue, options = {}, expand, callbacks } = node;
  const id = idOf(plan, path);
  const feed = plan.feeds?.find((each) => each.feed === path);
  const isFallback = name === INTERNAL_JOB.fallback;
  const followers = [
    ...(isFallback && expand !== undefined ? [otherStep(expand, plan)] : []),
    ...plannedCallbacks(id, callbacks, plan.state),
  ].filter((follower) => follower !== undefined);
  return {
    id,
    before,
    ...(queue !== INTERNAL_QUEUE && {
      node: {
        id: id === '' ? '0' : id,
        task: name,
        label: options.displayName ?? name,
        queue,
        state: plan.state,
      },
    }),
    ...(expand !== undefined && !isFallback && { adds: plannedAdds(expand, plan) }),
    ...(feed !== undefined && fedParts(feed, plan)),
    ...(followers.length > 0 && { followers }),
  };
}

/** What a fan-out may add. */
export function plannedAdds(expansion: Expansion, plan: Plan): Adds {
  const labels = labelsOf(expansion);
  const choice = { chance: labels === undefined ? 'sure' : 'choice' } as const;
  const parts = nodesOf(expansion).map((node, index): Added => {
    const label = labels?.[index];
    if (label === undefined) return { part: plannedPart(node, plan), ...choice };
    // All branches are planned at the same place.
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

/** What tells the branches of an expansion apart, in the order of its nodes. */
export function labelsOf(expansion: Expansion): readonly string[] | undefined {
  if ('cases' in expansion) return Object.keys(expansion.cases);
  return 'onTrue' in expansion ? ['then', 'otherwise'] : undefined;
}

/** Of each kind of callback, how its edges are called, and whether it is sent if nothing fails. */
export const CALLBACKS = {
  success: { kind: 'link', chance: 'sure' },
  failure: { kind: 'linkError', chance: 'none' },
  always: { kind: 'finally', chance: 'sure' },
} as const satisfies Record<keyof Callbacks, { kind: EdgeKind; chance: Follower['chance'] }>;

/** The callbacks of a job, with their kinds and ids. */
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

/** The step that runs if the one of a fallback fails. */
function otherStep(expansion: Expansion, plan: Plan): Follower | undefined {
  const [node] = nodesOf(expansion);
  return node && { part: plannedPart(node, plan), kind: 'fallback', chance: 'none', joins: 'also' };
}

/** The members that a sender will add, as far as they are there to be read. */
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

/** The user's tasks of a run, or of a call, and their order. Large groups of equal members are one node. */
export interface RunGraph {
  /** The run's id; absent before it was sent. */
  readonly id?: string;
  /** Earlier tasks first. */
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  /**
   * Jobs that the user's tasks are, callbacks included, if nothing fails: neither what follows a failure, nor branches
   * that are not taken.
   */
  readonly jobs: number;
  /** False if it depends on what is not known yet, such as the length of a list; then `jobs` is the least. */
  readonly isExact: boolean;
  toJSON(): RunGraphJson;
  /** A `flowchart LR` of Mermaid, with the states as classes. */
  toMermaid(): string;
  /** A `digraph` of Graphviz. */
  toDot(): string;
}

/** A graph as JSON: moments are text. */
export interface RunGraphJson extends Pick<RunGraph, 'id' | 'edges' | 'jobs' | 'isExact'> {
  readonly nodes: readonly (Omit<GraphNode, 'startedAt' | 'finishedAt'> & {
    readonly startedAt?: string;
    readonly finishedAt?: string;
  })[];
}

/** The graph of a stored run, or without an id of one that is not sent. */
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

/** The graph of what is planned and not sent. */
export function plannedGraph(root: JobNode, feeds: readonly MemberStream[] = []): RunGraph {
  return runGraph(plannedPart(root, { run: '', state: 'pending', feeds }));
}

/** Before it was sent, nothing has a state that could be counted. */
function withoutCounts({ counts: _counts, ...node }: GraphNode): GraphNode {
  return node;
}

function jsonOf({ startedAt, finishedAt, ...node }: GraphNode): RunGraphJson['nodes'][number] {
  return {
    ...node,
    ...(startedAt !== undefined && { startedAt: startedAt.toISOString() }),
    ...(finishedAt !== undefined && { finishedAt: finishedAt.toISOString() }),
  };
}
