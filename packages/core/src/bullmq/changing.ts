/** Changing, ending and removing jobs of a store. */
import type { ErrorRecord } from '../errors.js';
import type { Fed } from '../wire/envelope.js';
import { mergeData } from './merge-data.js';
import { isHeld } from './reading.js';
import type { StoreAccess } from './store-access.js';
import { childrenOf, type JobPlace, type Mark, markTree, removeTree } from './tree.js';

/** Forgets a job that has ended, and those below it, but for what still runs. False if the store does not hold it. */
export async function removeJob(access: StoreAccess, place: JobPlace): Promise<boolean> {
  // The keys of a queue stand beside those of its jobs: what is no job is not touched.
  if (!(await isHeld(access, place))) return false;
  return removeTree(access, place);
}

/**
 * Marks a job, and in a run every job that is known yet, as revoked: it does not start any more. What waited for a
 * time is taken up at once, so as to end. Gives the jobs that were marked, the given one first.
 */
export async function revokeJob(access: StoreAccess, job: JobPlace, mark: Mark): Promise<JobPlace[]> {
  const marked = new Map<string, JobPlace>();
  // W18: a worker that was just adding jobs, and died before it looked for marks, has added them by the second time.
  for (let pass = 0; pass < 2; pass += 1)
    for await (const place of markTree(access, job, mark)) marked.set(`${place.queue}/${place.id}`, place);
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

/** Marks what a job still waits for as not needed any more. */
export async function skipPending(access: StoreAccess, place: JobPlace, now: number): Promise<void> {
  for await (const child of childrenOf(access, place, ['unprocessed'])) {
    for await (const _ of markTree(access, child, { now, skipped: true }));
  }
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
