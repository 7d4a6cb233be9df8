/** What the drawings of a graph have in common. */
import { isJobState } from '../results/state.js';
import type { GraphEdge, GraphNode } from './node.js';

/** What is drawn. */
export interface Picture {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** Fill and border of each state. */
export const COLORS: Readonly<Record<string, readonly [fill: string, border: string]>> = {
  pending: ['#f4f4f5', '#a1a1aa'],
  waiting: ['#e0e7ff', '#6366f1'],
  'waiting-children': ['#f4f4f5', '#a1a1aa'],
  delayed: ['#fef3c7', '#d97706'],
  active: ['#dbeafe', '#2563eb'],
  completed: ['#dcfce7', '#16a34a'],
  failed: ['#fee2e2', '#dc2626'],
  expired: ['#ffedd5', '#ea580c'],
  revoked: ['#fce7f3', '#db2777'],
  skipped: ['#ffffff', '#d4d4d8'],
  unknown: ['#ffffff', '#71717a'],
};

/** The state of every job that a node is in: one of the task's own is shown while it runs. */
export function shownState({ state }: GraphNode): string {
  return state === 'pending' || isJobState(state) ? state : 'active';
}

/** The label of a node, with the number of jobs that it stands for, and how many of them have ended how. */
export function captionOf({ label, count, isEach, counts }: GraphNode): string {
  if (isEach) return `${label} × n`;
  if (count === undefined) return label;
  const states = Object.entries(counts ?? {}).map(([state, jobs]) => `${jobs} ${state}`);
  return states.length > 1 ? `${label} × ${count} (${states.join(', ')})` : `${label} × ${count}`;
}

/** What is written at an edge. */
export function edgeCaption({ kind, label }: GraphEdge): string | undefined {
  return label ?? kind;
}

/** The lines of a text, without what cannot be shown. */
export function linesOf(text: string): string[] {
  return text.split(/\r\n|\r|\n/).map((line) => line.replace(/\p{Cc}/gu, ' '));
}

/** Names of the nodes in a drawing: what their ids hold would have a meaning there. */
export function namesOf(nodes: readonly GraphNode[]): ReadonlyMap<string, string> {
  return new Map(nodes.map(({ id }, index) => [id, `n${index}`]));
}
