import { nodesOf } from './expansion.js';
import type { FlowNode } from './node.js';
import { jobsOf } from './walk.js';

/** The tags that the jobs of a tree bear, also those that are not added yet. */
export function tagsOf(root: FlowNode, found = new Set<string>()): Set<string> {
  for (const { options, expand } of jobsOf(root)) {
    for (const tag of options?.tags ?? []) found.add(tag);
    if (expand !== undefined) for (const next of nodesOf(expand)) tagsOf(next, found);
  }
  return found;
}
