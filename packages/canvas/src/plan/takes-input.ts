import type { FlowNode } from '@umbel/core/internal';

/** Whether something of it is left open. An empty group takes any input, so that a list of members may turn out to be empty. */
export function takesInput(node: FlowNode): boolean {
  const isEmptyGroup = node.after !== undefined && node.children?.length === 0;
  return node.open === true || isEmptyGroup || (node.children ?? []).some(takesInput);
}
