import type { JobPlace, Mark } from '../bullmq/tree.js';
import type { ResultParts } from './watching.js';

/** Marks a job and what it waits for as revoked; with `terminate`, what of that runs is given up. Gives what was marked. */
export async function revokeJobs(
  { store, terminate }: ResultParts,
  { queue, id }: JobPlace,
  mark: Mark,
  isTerminated: boolean,
): Promise<readonly JobPlace[]> {
  const marked = await store.revoke(queue, id, mark);
  if (isTerminated) for (const job of marked) await terminate(job.queue, job.id);
  return marked;
}
