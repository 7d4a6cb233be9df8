import { terminateMarked } from '../bullmq/control.js';
import type { Mark } from '../bullmq/marking.js';
import type { JobPlace } from '../bullmq/tree.js';
import type { ResultParts } from './watching.js';

/**
 * Marks a job and what is below it as revoked, as far as that has not ended; with `terminate`, what of it runs is given
 * up. Gives what was marked.
 */
export async function revokeJobs(
  { store }: ResultParts,
  { queue, id }: JobPlace,
  mark: Mark,
  isTerminated: boolean,
): Promise<readonly JobPlace[]> {
  const marked = await store.revoke(queue, id, mark);
  if (isTerminated) await terminateMarked(store, marked);
  return marked;
}
