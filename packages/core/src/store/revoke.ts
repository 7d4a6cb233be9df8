/** This module revokes jobs: it marks all unended jobs of a tree, so that they do not start. It also removes and detaches jobs. */

import type { ErrorRecord } from '../base/errors.js';
import type { Fed } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import type { MarkStore } from '../job/revocation.js';
import type { StoreAccess } from './access.js';
import { mergeData } from './job-options.js';
import { type Mark, type Marked, type MarkedPlace, markTrees } from './marking.js';
import { isHeld, revokedOf } from './read.js';
import { childrenOf } from './tree.js';
import { removeTree } from './tree-removal.js';

/** Removes a job with all jobs below it, except running ones. Returns false if this call did not remove the job itself. */
export async function removeJob(access: StoreAccess, place: JobRef): Promise<boolean> {
  // Keys of a queue share their prefix with keys of its jobs: an id that is not a job must not remove one.
  if (!(await isHeld(access, place))) return false;
  return removeTree(access, place);
}

/**
 * Revokes a job, and in a run all unended jobs that are stored so far: they do not start. Delayed jobs are promoted at
 * once, so that they end. Returns the marked jobs.
 */
export async function revokeJob(access: StoreAccess, job: JobRef, mark: Mark): Promise<MarkedPlace[]> {
  const marked = new Map<string, MarkedPlace>();
  // W18: a second pass finds jobs of a worker that added them and died before it looked for marks.
  for (let pass = 0; pass < 2; pass += 1) {
    for await (const place of markTrees(access, [{ ...job, isRoot: true }], mark)) {
      const key = `${place.queue}/${place.id}`;
      const isActive = place.isActive || marked.get(key)?.isActive === true;
      marked.set(key, { ...place, isActive });
    }
    if (marked.size === 0) break; // a job that adds jobs would be unended and marked
  }
  return [...marked.values()];
}

/** Postpones the start of a delayed job to `ms` milliseconds from now. */
export async function postponeJob(access: StoreAccess, { queue, id }: JobRef, ms: number): Promise<void> {
  await access.on(queue, async (bull) => {
    const job = await bull.getJob(id);
    if (await job?.isDelayed()) await job?.changeDelay(ms);
  });
}

/** Stores the end of a member stream with its internal job, and starts that job. */
export async function endFeed(access: StoreAccess, { queue, id }: JobRef, end: Fed): Promise<void> {
  const context = { subject: 'failure', id, task: '' } as const;
  const fed =
    'error' in end
      ? { error: (await access.sealer.encode(end.error, context)) as ErrorRecord } // or its encoded form
      : end;
  await access.on(queue, async (bull) => {
    const merged = await mergeData(bull.getBackend(), id, (data) => ({ ...data, fed }));
    const job = merged && (await bull.getJob(id));
    if (await job?.isDelayed()) await job?.promote();
  });
}

/** Marks the unended members that a job waits for as skipped. Returns the marked jobs. */
export async function skipPending(access: StoreAccess, place: JobRef, now: number): Promise<MarkedPlace[]> {
  const pending: Marked[] = [];
  // A failed child may be a slice of the members, or a group that has left members behind.
  for await (const { queue, id, kind } of childrenOf(access, place, ['unprocessed', 'ignored']))
    pending.push({ queue, id, hasEnded: kind === 'ignored' });
  const marked: MarkedPlace[] = [];
  for await (const each of markTrees(access, pending, { now, skipped: true })) marked.push(each);
  return marked;
}

/** Lets a job end without its pending children, which continue independently. */
export async function detachPending(access: StoreAccess, parent: JobRef): Promise<void> {
  for await (const child of childrenOf(access, parent, ['unprocessed'])) await detach(access, parent, child);
}

/** Lets a job end without one of its pending children. */
export async function detach(access: StoreAccess, parent: JobRef, child: JobRef): Promise<void> {
  const above = `${access.backends.qualifiedName(parent.queue)}:${parent.id}`;
  await access.on(child.queue, (bull) => bull.getBackend().removeChildDependency(child.id, above));
}

/** Returns the marks of runs in a store, for code that adds jobs to runs (`job/revocation.ts`). */
export function marksIn(access: StoreAccess): MarkStore {
  return {
    revokedOf: (run) => revokedOf(access, run),
    revoke: (queue, id, mark) => revokeJob(access, { queue, id }, mark),
  };
}
