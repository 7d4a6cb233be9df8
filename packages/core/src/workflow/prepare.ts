import {
  foldTree,
  INTERNAL_JOB,
  INTERNAL_OPTIONS,
  INTERNAL_QUEUE,
  type JobNode,
  jobsOf,
  nodesOf,
  SLICE,
  withNodes,
} from '../job/job-tree.js';
import { atSending, resolveExpiry } from '../job/shared-options.js';

/** What a sending adds to each job of a tree. */
export interface Addition {
  /** When it is sent, in milliseconds since 1970. */
  readonly now: number;
  /** A node's own win. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
  readonly content?: NonNullable<JobNode['content']>;
}

/** The tree as it is sent: with headers and tags, and with expiries as moments. */
export function withSendContext(root: JobNode, addition: Addition): JobNode {
  return foldTree<JobNode>(root, (node, children) => preparedJob(node, children, addition));
}

/** The tree, not yet added, without the expiries that it was prepared with. */
export function withoutExpiry(root: JobNode): JobNode {
  return foldTree<JobNode>(root, ({ options, content, expand, ...node }, children) => {
    const { expiresAt: _moment, expiresMs: _time, ...others } = options ?? {};
    const { shared, ...rest } = content ?? {};
    const { expires: _shared, expiresMs: _sharedTime, ...own } = shared ?? {};
    return {
      ...node,
      ...(options !== undefined && { options: others }),
      ...(content !== undefined && { content: shared === undefined ? rest : { ...rest, shared: own } }),
      ...(children !== undefined && { children }),
      ...(expand !== undefined && { expand: withNodes(expand, nodesOf(expand).map(withoutExpiry)) }),
    };
  });
}

function preparedJob(node: JobNode, children: readonly JobNode[] | undefined, addition: Addition): JobNode {
  const { expand, options } = node;
  const { now } = addition;
  const shared = node.content?.shared;
  const content = { ...addition.content, ...(shared !== undefined && { shared: atSending(shared, now) }) };
  const headers = { ...addition.headers, ...options?.headers };
  const tags = [...new Set([...(addition.tags ?? []), ...(options?.tags ?? [])])];
  const own = {
    ...resolveExpiry(options ?? {}, now),
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(tags.length > 0 && { tags }),
  };
  return {
    ...node,
    ...(Object.keys(own).length > 0 && { options: own }),
    ...(Object.keys(content).length > 0 && { content: { ...node.content, ...content } }),
    ...(children !== undefined && { children }),
    ...(expand !== undefined && {
      expand: withNodes(
        expand,
        nodesOf(expand).map((next) => withSendContext(next, addition)),
      ),
    }),
  };
}

/** The members of a large group, from the one at `first` on, below jobs of their own. */
export function sliced(list: string, first: number, members: readonly JobNode[]): JobNode[] {
  const slices: JobNode[] = [];
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
export function* slicesOf(nodes: readonly JobNode[]): Generator<readonly JobNode[]> {
  let slice: JobNode[] = [];
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
function sizeOf(root: JobNode): number {
  let size = 0;
  for (const _job of jobsOf(root)) size += 1;
  return size;
}
