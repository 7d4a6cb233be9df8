/** This module removes ended children of a job that continues, so that a loop of any length needs constant memory. */
import type { JobRef } from '../job/job.js';
import type { StoreAccess } from './access.js';
import { childResultsIn } from './primitives/ended-jobs.js';
import { byQueue, removeEndedTrees } from './tree-removal.js';

const NO_LIMITS = { until: Number.MAX_SAFE_INTEGER, isOver: () => false };

/**
 * Removes these children of a job with all jobs below them, and then their results from the job. A child stays if a job
 * below it has not ended. Repeating it after an interruption removes the rest.
 */
export async function removeEndedChildren(
  access: StoreAccess,
  parent: JobRef,
  children: readonly JobRef[],
): Promise<void> {
  const keys: string[] = [];
  for (const [queue, ids] of byQueue(children)) {
    const removed = await removeEndedTrees(access, queue, ids, NO_LIMITS);
    for (const id of removed) keys.push(`${access.backends.qualifiedName(queue)}:${id}`);
  }
  if (keys.length === 0) return;
  await access.on(parent.queue, async (bull) => {
    await childResultsIn(bull.getBackend())?.removeChildResults(parent.id, keys);
  });
}
