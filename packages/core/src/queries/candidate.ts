/** Jobs that may be what is looked for, in an order in which a list can go on. */
import type { Store } from '../bullmq/store.js';
import type { StoredJob } from '../bullmq/stored-job.js';
import type { JobPlace } from '../bullmq/tree.js';
import type { CursorPlace } from './cursor.js';

/** Jobs that are asked for at the same time: their answers come together. */
export const BATCH = 100;

export interface Candidate {
  /** Undefined if the store does not hold it any more, or it cannot be read. */
  readonly job: StoredJob | undefined;
  /** Where it was to be; absent if it is found again elsewhere. */
  readonly at?: JobPlace;
  /** BullMQ's state, if it follows from where the job was found. */
  readonly state?: string;
  /** Where to go on behind it. */
  readonly place: () => CursorPlace;
}

/** The ids of a part of a set, the latest first; `to` is not included. */
export function idsOf(store: Store, queue: string, set: string, from: number, to: number): Promise<string[]> {
  return store.on(queue, (bull) => bull.getRanges([set as 'completed'], from, to - 1, false)); // one of BullMQ's own
}

/** The jobs of these ids, in their order. */
export function jobsOf(
  store: Store,
  queue: string,
  ids: readonly string[],
): Promise<(StoredJob | undefined)[]> {
  return Promise.all(ids.map((id) => store.job(queue, id)));
}
