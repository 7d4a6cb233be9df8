/** Going through trees of jobs. A long chain is a deep tree, so nothing here calls itself for a child. */
import type { FlowNode } from './node.js';

/** The jobs of a tree, each after those it waits for. What a fan-out may add is not among them. */
export function* jobsOf(root: FlowNode): Generator<FlowNode> {
  const above: { node: FlowNode; next: number }[] = [];
  let current = { node: root, next: 0 };
  for (;;) {
    const child = current.node.children?.[current.next];
    if (child !== undefined) {
      current.next += 1;
      above.push(current);
      current = { node: child, next: 0 };
      continue;
    }
    yield current.node;
    const parent = above.pop();
    if (parent === undefined) return;
    current = parent;
  }
}

/**
 * What `make` makes of the root. It is called for each job, with what it has made of those that the job waits for:
 * undefined if the job has no list of them.
 */
export function foldTree<T>(root: FlowNode, make: (node: FlowNode, children: T[] | undefined) => T): T {
  const above: { node: FlowNode; made: T[] }[] = [];
  let current: { node: FlowNode; made: T[] } = { node: root, made: [] };
  for (;;) {
    const { node, made } = current;
    const child = node.children?.[made.length];
    if (child !== undefined) {
      above.push(current);
      current = { node: child, made: [] };
      continue;
    }
    const own = make(node, node.children && made);
    const parent = above.pop();
    if (parent === undefined) return own;
    parent.made.push(own);
    current = parent;
  }
}
