/** Adding jobs below another one while the run goes on. */

import type { JobPlace } from '../bullmq/tree.js';
import { RevokedError, SkippedError } from '../errors.js';
import { type FlowNode, INTERNAL_QUEUE, jobIdOf, type Parent } from '../flow/node.js';
import { isAny, isSame, markAdded, markedTree, type Revoked, revocationOf } from '../flow/revocation.js';
import { slicesOf } from '../flow/slices.js';
import { observeTree } from '../runtime.js';
import type { ActiveJob } from './job.js';
import type { ExecutorParts } from './parts.js';

export interface Addition {
  readonly run: string;
  readonly parent: Parent;
  readonly members: readonly FlowNode[];
}

export interface AdditionOptions {
  readonly isRepeated?: boolean;
  /** Adds nothing more once all of it would be revoked. */
  readonly stops?: boolean;
}

/**
 * Adds jobs as further children of one that has not ended. The same again, by the same job, changes nothing.
 * @throws {RevokedError} or {@link SkippedError} if it stops.
 */
export async function addMembers(
  { store, runtime }: ExecutorParts,
  job: ActiveJob,
  { run, parent, members }: Addition,
  { isRepeated = job.starts > 1, stops = false }: AdditionOptions = {},
): Promise<void> {
  const { observer, clock } = runtime;
  // A revocation of the whole marks its root; one that reaches this job only, as that of a group which has enough, the job.
  const places = [await rootOf(store, run, parent), { queue: job.queue, id: job.id }];
  const now = clock.now();
  let known = await revocationOf(store, places);
  let added: FlowNode[] = [];
  for (const slice of slicesOf(members)) {
    if (stops && known.all) throw refusal(known);
    const nodes = isAny(known) ? slice.map((node) => markedTree(node, known, now)) : slice;
    await store.addChildren(run, parent, nodes, { isRepeated });
    if (observer !== undefined) for (const node of slice) observeTree(observer, run, node);
    added.push(...slice);
    // A revocation marks what it finds: what is added meanwhile is marked by whoever adds it.
    const after = await revocationOf(store, places);
    const isChanged = !isSame(after, known);
    known = after;
    // Those that an earlier try has added are as they were then.
    if (!isChanged && !(isRepeated && isAny(known))) continue;
    await markAdded(store, run, added, known, now);
    added = [];
  }
}

function refusal({ skipped }: Revoked): Error {
  return skipped
    ? new SkippedError('Its group has its outcome without what this step adds.')
    : new RevokedError('The run was revoked while this step added to it.');
}

/** The job that a revocation of the run marks: its own; or, in what has taken the place of a single call, that call. */
async function rootOf(store: ExecutorParts['store'], run: string, parent: Parent): Promise<JobPlace> {
  const own = { queue: INTERNAL_QUEUE, id: run };
  if ((await store.revokedOf(own)) !== undefined) return own;
  return store.topOf({ queue: parent.queue, id: jobIdOf(run, parent.path) });
}
