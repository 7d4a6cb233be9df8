import { resolveExpiry } from '../tasks/options.js';
import { nodesOf, withNodes } from './expansion.js';
import type { FlowNode } from './node.js';
import { atSending } from './shared.js';
import { foldTree } from './walk.js';

/** What a sending adds to each job of a tree. */
export interface Addition {
  /** When it is sent, in milliseconds since 1970. */
  readonly now: number;
  /** A node's own win. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
  readonly content?: NonNullable<FlowNode['content']>;
}

/** The tree as it is sent: with headers and tags, and with expiries as moments. */
export function prepared(root: FlowNode, addition: Addition): FlowNode {
  return foldTree<FlowNode>(root, (node, children) => preparedJob(node, children, addition));
}

/** The tree, not yet added, without the expiries that it was prepared with. */
export function withoutExpiry(root: FlowNode): FlowNode {
  return foldTree<FlowNode>(root, ({ options, content, expand, ...node }, children) => {
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

function preparedJob(
  node: FlowNode,
  children: readonly FlowNode[] | undefined,
  addition: Addition,
): FlowNode {
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
        nodesOf(expand).map((next) => prepared(next, addition)),
      ),
    }),
  };
}
