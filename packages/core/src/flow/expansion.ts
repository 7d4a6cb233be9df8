/** The nodes that a fan-out may add, whatever it is that decides about them. */
import type { Expansion, FlowNode, Source } from './node.js';
import { foldTree } from './walk.js';

/** The nodes of an expansion, in an order of their own. */
export function nodesOf(expansion: Expansion): readonly FlowNode[] {
  if ('members' in expansion) return expansion.members;
  if ('each' in expansion) return [expansion.each];
  if ('cases' in expansion) return Object.values(expansion.cases);
  return expansion.onFalse === undefined ? [expansion.onTrue] : [expansion.onTrue, expansion.onFalse];
}

/** The expansion with other nodes in the places of its own. */
export function withNodes<E extends Expansion>(expansion: E, nodes: readonly FlowNode[]): E {
  const at = (index: number): FlowNode => {
    const node = nodes[index];
    if (node === undefined) throw new RangeError('an expansion has as many nodes as before');
    return node;
  };
  if ('members' in expansion) return { ...expansion, members: nodes };
  if ('each' in expansion) return { ...expansion, each: at(0) };
  if ('cases' in expansion) {
    const names = Object.keys(expansion.cases);
    return { ...expansion, cases: Object.fromEntries(names.map((name, index) => [name, at(index)])) };
  }
  return { ...expansion, onTrue: at(0), ...(expansion.onFalse !== undefined && { onFalse: at(1) }) };
}

/** The tree planned at the path `from`, as if it were planned at `to`. */
export function relocated(node: FlowNode, from: string, to: string): FlowNode {
  const moved = (path: string) => (path.startsWith(from) ? `${to}${path.slice(from.length)}` : path);
  const movedTree = (root: FlowNode): FlowNode =>
    foldTree<FlowNode>(root, (next, children) => {
      const { path, after, expand } = next;
      return {
        ...next,
        path: moved(path),
        ...(after !== undefined && { after: movedSource(after) }),
        ...(expand !== undefined && { expand: movedExpansion(expand) }),
        ...(children !== undefined && { children }),
      };
    });
  const movedSource = (source: Source): Source => {
    const via = source.via === undefined ? {} : { via: moved(source.via) };
    if ('step' in source) return { ...source, ...via, step: moved(source.step) };
    return 'list' in source
      ? { ...source, ...via, list: moved(source.list) }
      : { ...source, ...via, record: moved(source.record) };
  };
  const movedExpansion = (expansion: Expansion): Expansion => {
    const parent = { ...expansion.parent, path: moved(expansion.parent.path) };
    const own = withNodes({ ...expansion, parent }, nodesOf(expansion).map(movedTree));
    if ('each' in own) return { ...own, list: moved(own.list) };
    if ('members' in own && own.slice !== undefined)
      return { ...own, slice: { ...own.slice, list: moved(own.slice.list) } };
    if (!('onTrue' in own) || own.tested === undefined) return own;
    return { ...own, tested: { step: moved(own.tested.step), value: moved(own.tested.value) } };
  };
  return movedTree(node);
}
