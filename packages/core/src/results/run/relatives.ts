/** The tasks next to a job in its run, whatever stands between them. */
import { childPlaces } from '../../bullmq/standing.js';
import type { Store } from '../../bullmq/store.js';
import type { JobPlace } from '../../bullmq/tree.js';
import { INTERNAL_JOB, INTERNAL_QUEUE } from '../../flow/node.js';
import { isPassedOn } from '../../wire/marks.js';
import { isPlainObject } from '../../wire/plain-object.js';
import { byPath } from './kin.js';

/** The tasks that a job waited for, up to so many. */
export async function tasksBefore(store: Store, place: JobPlace, limit: number): Promise<JobPlace[]> {
  const found: JobPlace[] = [];
  const visit = async (from: JobPlace): Promise<void> => {
    for (const child of (await childPlaces(store, from)).sort(byPath)) {
      if (found.length >= limit) return;
      if (child.queue !== INTERNAL_QUEUE) found.push(child);
      else if (await isPassage(store, child)) await visit(child);
    }
  };
  await visit(place);
  return found;
}

/** The job that waits for another one, or its run; undefined if none does. */
export async function taskAfter(store: Store, place: JobPlace, run: string): Promise<JobPlace | undefined> {
  let last = place;
  for (;;) {
    const parent = await store.parentOf(last.queue, last.id);
    if (parent === undefined) break;
    if (parent.queue !== INTERNAL_QUEUE) return parent;
    last = parent;
  }
  return last === place ? undefined : { queue: INTERNAL_QUEUE, id: run };
}

/** Whether what stands before an internal job stands before the next one too. */
async function isPassage(store: Store, { queue, id }: JobPlace): Promise<boolean> {
  const job = await store.job(queue, id);
  if (job?.name !== INTERNAL_JOB.fanOut) return job !== undefined;
  const outcome = await store.outcome(queue, id);
  if (outcome.kind !== 'completed') return false;
  // What it has added stands between.
  return isPassedOn(outcome.value) || (isPlainObject(outcome.value) && outcome.value.count === 0);
}
