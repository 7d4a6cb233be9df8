/** Places the nodes of a run from left to right with dagre. */
import { Graph as Dagre, layout } from '@dagrejs/dagre';
import type { Graph, Node } from '../types.js';
import { MAX_LABEL } from './label.js';

export interface PlacedNode {
  readonly node: Node;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

interface PlacedEdge {
  readonly key: string;
  readonly path: string;
  readonly kind: string | undefined;
  readonly label: string | undefined;
  readonly middle: { readonly x: number; readonly y: number };
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly PlacedNode[];
  readonly edges: readonly PlacedEdge[];
}

/** Height of a node whose members are not drawn. */
export const HEIGHT = 48;
/** Cells of the members of an unfolded node: a page of 50. */
export const MEMBER = { size: 24, gap: 4, perRow: 10, rows: 5, top: 58, left: 16 } as const;
const UNFOLDED = {
  width: 2 * MEMBER.left + MEMBER.perRow * (MEMBER.size + MEMBER.gap) - MEMBER.gap,
  height: MEMBER.top + MEMBER.rows * (MEMBER.size + MEMBER.gap) + 26,
};
/** Width of a bold character, on average; capitals are wider. */
const CHARACTER = 8.4;
/** The smallest holds a state, a time and a number of attempts. */
const WIDTH = { min: 216, max: 310 };
const MARGIN = 12;

/** @param unfolded The id of the node whose members are drawn in it. */
export function layoutOf({ nodes, edges }: Pick<Graph, 'nodes' | 'edges'>, unfolded?: string): Layout {
  const dagre = new Dagre({ multigraph: true });
  dagre.setGraph({ rankdir: 'LR', nodesep: 18, ranksep: 48, marginx: MARGIN, marginy: MARGIN });
  dagre.setDefaultEdgeLabel(() => ({}));
  const known = new Set(nodes.map(({ id }) => id));
  for (const { id, label } of nodes) {
    const length = Math.min(label.length, MAX_LABEL);
    const width = Math.min(WIDTH.max, Math.max(WIDTH.min, length * CHARACTER + 52));
    dagre.setNode(
      id,
      id === unfolded
        ? { width: Math.max(width, UNFOLDED.width), height: UNFOLDED.height }
        : { width, height: HEIGHT },
    );
  }
  const drawn = edges.filter(({ from, to }) => known.has(from) && known.has(to));
  for (const [index, { from, to }] of drawn.entries()) dagre.setEdge(from, to, {}, `${index}`);
  layout(dagre);
  const nodeBox = (id: string) => dagre.node(id) as Middle;
  const { width = 0, height = 0 } = dagre.graph() as { width?: number; height?: number };
  return {
    width,
    height,
    nodes: nodes.map((node) => {
      const { x, y, width: nodeWidth, height: nodeHeight } = nodeBox(node.id);
      return { node, x: x - nodeWidth / 2, y: y - nodeHeight / 2, width: nodeWidth, height: nodeHeight };
    }),
    edges: drawn.map(({ from, to, kind, label }, index) => {
      const { points = [] } = dagre.edge(from, to, `${index}`) as { points?: { x: number; y: number }[] };
      const ends = attached(points, nodeBox(from), nodeBox(to));
      const middle = points[Math.floor(points.length / 2)] ?? { x: 0, y: 0 };
      return { key: `${index}`, path: curve(ends), kind, label, middle };
    }),
  };
}

interface Middle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Returns the points of an edge, which leaves a node in the middle of its right side and reaches the other at its left one. */
function attached(
  points: readonly { readonly x: number; readonly y: number }[],
  from: Middle,
  to: Middle,
): readonly { readonly x: number; readonly y: number }[] {
  const [start, end] = [from.x + from.width / 2, to.x - to.width / 2];
  if (end <= start) return points; // a node of the same rank, or an earlier one
  const between = points.slice(1, -1).filter(({ x }) => x > start && x < end);
  // Between neighbours the only point there is in the middle: a curve without it is smoother.
  const kept = between.length > 1 ? between : [];
  return [{ x: start, y: from.y }, ...kept, { x: end, y: to.y }];
}

/** Returns a smooth path through the points. */
function curve(points: readonly { readonly x: number; readonly y: number }[]): string {
  const [first, ...others] = points;
  if (first === undefined) return '';
  let path = `M${first.x},${first.y}`;
  let last = first;
  for (const point of others) {
    const half = (last.x + point.x) / 2;
    path += `C${half},${last.y} ${half},${point.y} ${point.x},${point.y}`;
    last = point;
  }
  return path;
}
