/** Changing, ending and removing jobs of a store. */
import type { ErrorRecord } from '../errors.js';
import type { Fed } from '../wire/envelope.js';
import { type Mark, type Marked, type MarkedPlace, markTrees } from './marking.js';
import { mergeData } from './merge-data.js';
import { isHeld } from './reading.js';
import type { StoreAccess } from './store-access.js';
import { childrenOf, type JobPlace } from './tree.js';
import { removeTree } from './tree-removal.js';

/** Forgets a job that has ended, and those below it, but for what still runs. False if it is not gone by this. */
export async function removeJob(access: StoreAccess, place: JobPlace): Promise<boolean> {
  // The keys of a queue stand beside those of its jobs: what is no job is not touched.
  if (!(await isHeld(access, place))) return false;
  return removeTree(access, place);
}

/**
 * Marks a job, and in a run every job that is known yet and has not ended, as revoked: it does not start any more. What
 * waited for a time is taken up at once, so as to end. Gives the jobs that were marked.
 */
export async function revokeJob(access: StoreAccess, job: JobPlace, mark: Mark): Promise<MarkedPlace[]> {
  const marked = new Map<string, MarkedPlace>();
  // W18: a worker that was just adding jobs, and died before it looked for marks, has added them by the second time.
  for (let pass = 0; pass < 2; pass += 1) {
    for await (const place of markTrees(access, [{ ...job, isRoot: true }], mark)) {
      const key = `${place.queue}/${place.id}`;
      const isActive = place.isActive || marked.get(key)?.isActive === true;
      marked.set(key, { ...place, isActive });
    }
    if (marked.size === 0) break; // whatever adds jobs would be among those that have not ended
  }
  return [...marked.values()];
}

/** Puts the start of a job that waits for a time off, to so long from now. */
export async function postponeJob(access: StoreAccess, { queue, id }: JobPlace, ms: number): Promise<void> {
  await access.on(queue, async (bull) => {
    const job = await bull.getJob(id);
    if (await job?.isDelayed()) await job?.changeDelay(ms);
  });
}

/** Tells a feed what its sender has added, and starts it. */
export async function endFeed(access: StoreAccess, { queue, id }: JobPlace, told: Fed): Promise<void> {
  const context = { subject: 'failure', id, task: '' } as const;
  const fed =
    'error' in told
      ? { error: (await access.sealer.seal(told.error, context)) as ErrorRecord } // or its sealed form
      : told;
  await access.on(queue, async (bull) => {
    const isTold = await mergeData(bull.getBackend(), id, (data) => ({ ...data, fed }));
    const job = isTold && (await bull.getJob(id));
    if (await job?.isDelayed()) await job?.promote();
  });
}

/** Marks what has not ended of the members that a job waits for as not needed any more. Gives what was marked. */
export async function skipPending(access: StoreAccess, place: JobPlace, now: number): Promise<MarkedPlace[]> {
  const pending: Marked[] = [];
  // One that has failed may be a slice of the members, or a group that has left some of its own behind.
  for await (const { queue, id, kind } of childrenOf(access, place, ['unprocessed', 'ignored']))
    pending.push({ queue, id, hasEnded: kind === 'ignored' });
  const marked: MarkedPlace[] = [];
  for await (const each of markTrees(access, pending, { now, skipped: true })) marked.push(each);
  return marked;
}

/** Lets a job end without what it still waits for, which goes on by itself. */
export async function detachPending(access: StoreAccess, parent: JobPlace): Promise<void> {
  for await (const child of childrenOf(access, parent, ['unprocessed'])) await detach(access, parent, child);
}

/** Lets a job end without one of those that it still waits for. */
export async function detach(access: StoreAccess, parent: JobPlace, child: JobPlace): Promise<void> {
  const above = `${access.backends.qualifiedName(parent.queue)}:${parent.id}`;
  await access.on(child.queue, (bull) => bull.getBackend().removeChildDependency(child.id, above));
}
