/** Labels of nodes and edges, which are cut to a length that their boxes hold. */
import type { Node } from '../types.js';

export const MAX_LABEL = 30;

export const cut = (text: string): string =>
  text.length > MAX_LABEL ? `${text.slice(0, MAX_LABEL - 1)}…` : text;

/** Returns the nodes, with the name of the task as label where a display name is common to several tasks. */
export function withDistinctLabels(nodes: readonly Node[]): readonly Node[] {
  const tasks = new Map<string, Set<string>>();
  for (const { label, task } of nodes) tasks.set(label, (tasks.get(label) ?? new Set()).add(task));
  return nodes.map((node) =>
    node.kind === undefined && (tasks.get(node.label)?.size ?? 0) > 1 ? { ...node, label: node.task } : node,
  );
}
