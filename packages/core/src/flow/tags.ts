import { nodesOf } from './expansion.js';
import type { FlowNode } from './node.js';

/** The tags that the jobs of a tree bear, also those that are not added yet. */
export function tagsOf({ options, children = [], expand }: FlowNode, found = new Set<string>()): Set<string> {
  for (const tag of options?.tags ?? []) found.add(tag);
  for (const child of [...children, ...(expand === undefined ? [] : nodesOf(expand))]) tagsOf(child, found);
  return found;
}
