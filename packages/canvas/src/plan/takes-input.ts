import { type FlowNode, jobsOf } from '@umbel/core/internal';

/** Whether something of it is left open. An empty group takes any input, so that a list of members may turn out to be empty. */
export function takesInput(root: FlowNode): boolean {
  for (const { open, after, children } of jobsOf(root)) {
    if (open === true || (after !== undefined && children?.length === 0)) return true;
  }
  return false;
}
