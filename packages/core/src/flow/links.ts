/** The spans that a job's span is linked to: of the steps whose results it took. */
import { isPlainObject } from '../wire/plain-object.js';
import type { FlowNode } from './node.js';
import { foldTree } from './walk.js';

export interface TraceLinks {
  /** Each as a `traceparent`; the first `MAX_LINKS` of them. */
  readonly traces: readonly string[];
  /** How many there were. */
  readonly count: number;
}

/** As many as OpenTelemetry's SDKs keep of one span, by default. */
export const MAX_LINKS = 128;

export const NO_LINKS: TraceLinks = { traces: [], count: 0 };

export function isTraceparent(value: unknown): value is string {
  return typeof value === 'string' && /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(value);
}

export function isTraceLinks(value: unknown): boolean {
  if (!isPlainObject(value) || !Array.isArray(value.traces) || !Number.isSafeInteger(value.count))
    return false;
  return value.traces.length <= MAX_LINKS && value.traces.every(isTraceparent);
}

/** The tree with links on each of its jobs that waits for no other, and so takes what the tree is given. */
export function linked(root: FlowNode, links: TraceLinks | undefined): FlowNode {
  if (links === undefined || links.count === 0) return root;
  return foldTree<FlowNode>(root, (node, children = []) =>
    children.length > 0 ? { ...node, children } : { ...node, content: { ...node.content, links } },
  );
}
