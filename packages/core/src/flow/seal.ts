/** The inputs of a run's jobs through the app's codecs: each is bound to the id of its job. */
import type { Sealer } from '../wire/sealing.js';
import { nodesOf, withNodes } from './expansion.js';
import { type Callbacks, callbackId, type FlowNode, jobIdOf } from './node.js';
import { foldTree, jobsOf } from './walk.js';

type Change = (value: unknown, id: string, task: string) => Promise<unknown>;

/** The tree with its inputs as they are stored. */
export function sealTree(sealer: Sealer, run: string, node: FlowNode): FlowNode | Promise<FlowNode> {
  if (!sealer.isActive) return node;
  return changed(run, node, (value, id, task) => sealer.seal(value, { subject: 'input', id, task }));
}

/** The tree with its inputs as they were before `sealTree`. */
export function openTree(sealer: Sealer, run: string, node: FlowNode): Promise<FlowNode> {
  return changed(run, node, (value, id, task) => sealer.open(value, { subject: 'input', id, task }));
}

async function changed(run: string, root: FlowNode, change: Change): Promise<FlowNode> {
  const parts = Array.from(
    jobsOf(root),
    async (node) => [node, await changedParts(run, node, change)] as const,
  );
  const own = new Map(await Promise.all(parts));
  return foldTree<FlowNode>(root, (node, children) => ({
    ...node,
    ...own.get(node),
    ...(children !== undefined && { children }),
  }));
}

/** What changes in a job itself. */
async function changedParts(run: string, node: FlowNode, change: Change): Promise<Partial<FlowNode>> {
  const { input, items, expand, callbacks } = node;
  const id = jobIdOf(run, node.path);
  const all = (nodes: readonly FlowNode[]) => Promise.all(nodes.map((next) => changed(run, next, change)));
  return {
    ...(input !== undefined && { input: await change(input, id, node.name) }),
    ...(items !== undefined && { items: (await change(items, id, node.name)) as readonly unknown[] }), // or their sealed form
    ...(expand !== undefined && { expand: withNodes(expand, await all(nodesOf(expand))) }),
    ...(callbacks !== undefined && { callbacks: await changedCallbacks(id, callbacks, change) }),
  };
}

async function changedCallbacks(id: string, callbacks: Callbacks, change: Change): Promise<Callbacks> {
  const kinds = Object.entries(callbacks) as [keyof Callbacks, readonly FlowNode[]][];
  const entries = kinds.map(async ([kind, nodes]) => [
    kind,
    await Promise.all(nodes.map((node, index) => changed(callbackId(id, kind, index), node, change))),
  ]);
  return Object.fromEntries(await Promise.all(entries)) as Callbacks;
}
