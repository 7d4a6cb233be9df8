import type { RunGraph } from '@umbel/core';

/** A graph as text: its nodes with their states, then its edges, by the labels of the tasks. */
export function drawn({ nodes, edges }: RunGraph): string[] {
  const names = new Map(nodes.map(({ id, label }) => [id, label]));
  const many = (count: number | undefined, isEach: boolean | undefined) =>
    isEach ? '×n' : count ? `×${count}` : '';
  return [
    nodes.map(({ label, count, isEach }) => `${label}${many(count, isEach)}`).join(' '),
    ...edges.map(({ from, to, kind, label }) =>
      [`${names.get(from)}→${names.get(to)}`, kind, label].filter((part) => part !== undefined).join(' '),
    ),
  ];
}

/** The states of a graph's nodes, in order. */
export function states({ nodes }: RunGraph): string {
  return nodes.map(({ label, state }) => `${label}:${state}`).join(' ');
}
