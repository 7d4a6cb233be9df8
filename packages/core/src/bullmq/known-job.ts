/** Jobs as far as they can be read: also those whose record is gone, or holds what is no job. */
import type { Store } from './store.js';
import { momentOf, type StoredJob, UNKNOWN_TASK } from './stored-job.js';
import { ifBroken, type JobPlace, REPLACED } from './tree.js';

/** Why nothing can be read of a job that stands in a set of its queue. */
const GONE = 'its record is gone';
const NO_DATA = 'its data is no JSON';
const NO_RECORD = 'its record is no JSON';
const OTHER_TYPE = 'its record is of another type';

/**
 * What is known of a job that the store holds, at least by its id: with `problem`, if its record cannot be read. Undefined
 * if the store does not hold it.
 */
export async function knownJob(store: Store, place: JobPlace): Promise<StoredJob | undefined> {
  const { queue, id } = place;
  const job = await store.job(queue, id);
  if (job !== undefined) return job;
  const remains = await remainsOf(store, place);
  // Those that were removed while they were looked for stand in no set any more.
  const isHeld = (await store.on(queue, (bull) => bull.getJobState(id).catch(ifBroken))) !== 'unknown';
  return isHeld ? remains : undefined;
}

/** What can be read where the whole cannot. */
async function remainsOf(store: Store, { queue, id }: JobPlace): Promise<StoredJob> {
  const nothing: StoredJob = {
    id,
    name: UNKNOWN_TASK,
    queue,
    envelope: undefined,
    attempts: 0,
    enqueuedAt: 0,
    startedAt: undefined,
    finishedAt: undefined,
    progress: undefined,
    ownState: undefined,
    failedReason: undefined,
  };
  try {
    const json = await store.on(queue, (bull) => bull.getBackend().getJobData(id));
    if (json === undefined) return { ...nothing, problem: GONE };
    return {
      ...nothing,
      name: json.name || UNKNOWN_TASK,
      attempts: json.attemptsMade || 0,
      enqueuedAt: momentOf(json.timestamp) ?? 0,
      startedAt: momentOf(json.processedOn),
      finishedAt: momentOf(json.finishedOn),
      failedReason: json.failedReason,
      problem: NO_DATA,
    };
  } catch (error) {
    ifBroken(error);
    const isReplaced = error instanceof Error && REPLACED.test(error.message);
    return { ...nothing, problem: isReplaced ? OTHER_TYPE : NO_RECORD };
  }
}
