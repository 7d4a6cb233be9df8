/** Prepares job trees for sending: adds headers, tags and expiries, and cuts large groups into slices. */
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

/** The data that a send adds to each job of a tree. */
export interface Addition {
  /** The time of the send, in milliseconds since 1970. */
  readonly now: number;
  /** The headers of a node take precedence. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
  readonly content?: NonNullable<JobNode['content']>;
}

/** Returns the tree with headers and tags, and with expiries as moments. */
export function withSendContext(root: JobNode, addition: Addition): JobNode {
  return foldTree<JobNode>(root, (node, children) => preparedJob(node, children, addition));
}

/** Returns a prepared tree without its expiries. */
export function withoutExpiry(root: JobNode): JobNode {
  return foldTree<JobNode>(root, ({ options, content, expand, ...node }, children) => {
    const { expiresAt: _moment, expiresMs: _time, ...others } = options ?? {};
    const { shared, ...rest } = content ?? {};
    const { expires: _shared, expiresMs: _sharedTime, ...otherShared } = shared ?? {};
    return {
      ...node,
      ...(options !== undefined && { options: others }),
      ...(content !== undefined && {
        content: shared === undefined ? rest : { ...rest, shared: otherShared },
      }),
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
  const prepared = {
    ...resolveExpiry(options ?? {}, now),
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(tags.length > 0 && { tags }),
  };
  return {
    ...node,
    ...(Object.keys(prepared).length > 0 && { options: prepared }),
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

/** Puts the members of a large group below slice jobs. @param first The index of the first member in the group. */
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

/** Cuts nodes into lists of about as many jobs as one transaction adds. */
export function* slicesOf(nodes: readonly JobNode[]): Generator<readonly JobNode[]> {
  let slice: JobNode[] = [];
  let size = 0;
  for (const node of nodes) {
    const nodeSize = sizeOf(node);
    if (slice.length > 0 && size + nodeSize > SLICE) {
      yield slice;
      slice = [];
      size = 0;
    }
    slice.push(node);
    size += nodeSize;
  }
  if (slice.length > 0) yield slice;
}

/** Returns the number of jobs in a tree. */
function sizeOf(root: JobNode): number {
  let size = 0;
  for (const _job of jobsOf(root)) size += 1;
  return size;
}
