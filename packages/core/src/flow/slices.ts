import { type FlowNode, INTERNAL_JOB, INTERNAL_OPTIONS, INTERNAL_QUEUE, SLICE } from './node.js';

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
