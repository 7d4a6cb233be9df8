/** I4: a node sees the values it is meant to see: all of them, in their order. */
import { type Invariant, isComposed, show } from './evidence.js';

export const allValues: Invariant = ({ workflows }) =>
  workflows.filter(isComposed).flatMap(({ index, run, entries, worlds }) => {
    const keyOf = (n: number, value: unknown) => JSON.stringify([n, value]);
    const meant = new Set(worlds().flatMap((world) => world.runs.map(({ n, value }) => keyOf(n, value))));
    const strange = entries.filter(({ node, value }) => !meant.has(keyOf(node, value)));
    const distinct = new Map(strange.map((entry) => [keyOf(entry.node, entry.value), entry]));
    return [...distinct.values()].map(({ job, node, value }) => ({
      invariant: 'I4',
      workflow: index,
      run,
      message: `node ${node} (job ${job}) ran with ${show(value)}, which it is never to see`,
    }));
  });
