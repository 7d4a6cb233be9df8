import { type FlowNode, INTERNAL_JOB, INTERNAL_OPTIONS, INTERNAL_QUEUE, SLICE } from './node.js';
import { jobsOf } from './walk.js';

/** The members of a large group, from the one at `first` on, below jobs of their own. */
export function sliced(list: string, first: number, members: readonly FlowNode[]): FlowNode[] {
  const slices: FlowNode[] = [];
  for (let start = 0; start < members.length; start += SLICE) {
    const children = members.slice(start, start + SLICE);
    const mayFail = children.some((member) => member.mayFail === true);
    slices.push({
      path: `${list}/${(first + start) / SLICE}`,
      name: INTERNAL_JOB.slice,
      queue: INTERNAL_QUEUE,
      options: INTERNAL_OPTIONS,
      after: {
        list,
        first: first + start,
        count: children.length,
        ignored: true,
        ...(mayFail && { settled: true }),
      },
      children,
    });
  }
  return slices;
}

/** Nodes in lists of about as many jobs as are added in one transaction. */
export function* slicesOf(nodes: readonly FlowNode[]): Generator<readonly FlowNode[]> {
  let slice: FlowNode[] = [];
  let size = 0;
  for (const node of nodes) {
    const own = sizeOf(node);
    if (slice.length > 0 && size + own > SLICE) {
      yield slice;
      slice = [];
      size = 0;
    }
    slice.push(node);
    size += own;
  }
  if (slice.length > 0) yield slice;
}

/** How many jobs a tree has. */
function sizeOf(root: FlowNode): number {
  let size = 0;
  for (const _job of jobsOf(root)) size += 1;
  return size;
}
