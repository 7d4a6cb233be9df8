/** Adding jobs below another one while the run goes on. */

import type { Revoked } from '../bullmq/store.js';
import type { JobPlace } from '../bullmq/tree.js';
import { type FlowNode, INTERNAL_QUEUE, jobIdOf, type Parent } from '../flow/node.js';
import { slicesOf } from '../flow/slices.js';
import { foldTree } from '../flow/walk.js';
import { observeTree } from '../runtime.js';
import type { ActiveJob } from './job.js';
import type { ExecutorParts } from './parts.js';

export interface Addition {
  readonly run: string;
  readonly parent: Parent;
  readonly members: readonly FlowNode[];
}

/** Adds jobs as further children of one that has not ended. The same again, by the same job, changes nothing. */
export async function addMembers(
  { store, runtime }: ExecutorParts,
  job: ActiveJob,
  { run, parent, members }: Addition,
  { isRepeated = job.starts > 1 } = {},
): Promise<void> {
  const { observer, clock } = runtime;
  const { root, revoked: before } = await rootOf(store, run, parent);
  const now = clock.now();
  let known = before;
  let added: FlowNode[] = [];
  for (const slice of slicesOf(members)) {
    const nodes = isAny(known) ? slice.map((node) => marked(node, known, now)) : slice;
    await store.addChildren(run, parent, nodes, { isRepeated });
    if (observer !== undefined) for (const node of slice) observeTree(observer, run, node);
    added.push(...slice);
    // A revocation marks what it finds: what is added meanwhile is marked by whoever adds it.
    const after = (await store.revokedOf(root)) ?? NOTHING_REVOKED;
    const isChanged = after.all !== known.all || after.tags.length !== known.tags.length;
    known = after;
    // Those that an earlier try has added are as they were then.
    if (!isChanged && !(isRepeated && isAny(known))) continue;
    const marks = known.all ? [{ now }] : known.tags.map((tag) => ({ now, tag }));
    for (const mark of marks)
      for (const { path, queue } of added) await store.revoke(queue, jobIdOf(run, path), mark);
    added = [];
  }
}

const NOTHING_REVOKED: Revoked = { all: false, tags: [] };

/** The job that a revocation of the run marks: its own; or, in what has taken the place of a single call, that call. */
async function rootOf(
  store: ExecutorParts['store'],
  run: string,
  parent: Parent,
): Promise<{ root: JobPlace; revoked: Revoked }> {
  const own = { queue: INTERNAL_QUEUE, id: run };
  const ofRun = await store.revokedOf(own);
  if (ofRun !== undefined) return { root: own, revoked: ofRun };
  const root = await store.topOf({ queue: parent.queue, id: jobIdOf(run, parent.path) });
  return { root, revoked: (await store.revokedOf(root)) ?? NOTHING_REVOKED };
}

function isAny({ all, tags }: Revoked): boolean {
  return all || tags.length > 0;
}

/** The tree with a mark on what was revoked. */
function marked(root: FlowNode, what: Revoked, now: number): FlowNode {
  return foldTree<FlowNode>(root, (node, children) => {
    const isRevoked = what.all || node.options?.tags?.some((tag) => what.tags.includes(tag)) === true;
    return {
      ...node,
      ...(isRevoked && { content: { ...node.content, revoked: now } }),
      ...(children !== undefined && { children }),
    };
  });
}
