/** The graph of a run, before or after it was sent. */
import type { MembersFeed } from '../flow/feed.js';
import type { FlowNode } from '../flow/node.js';
import { dotOf } from './dot.js';
import { drawn } from './draw.js';
import { mermaidOf } from './mermaid.js';
import type { GraphEdge, GraphNode } from './node.js';
import type { Part } from './part.js';
import { plannedPart } from './planned.js';
import { tallyOf } from './tally.js';

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
export function plannedGraph(root: FlowNode, feeds: readonly MembersFeed[] = []): RunGraph {
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
