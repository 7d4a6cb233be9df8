/** Where jobs of a run stand, read without their results. */
import type { Store } from './store.js';
import { type StoredJob, shownState } from './stored-job.js';
import { type ChildKind, type ChildPlace, childrenOf, type JobAccess, type JobPlace } from './tree.js';

export interface Standing {
  readonly state: string;
  /** Absent if it cannot be read. */
  readonly job: StoredJob | undefined;
}

/** A job with its state; undefined if the store does not hold it. */
export async function standingOf(store: Store, { queue, id }: JobPlace): Promise<Standing | undefined> {
  const state = await store.on(queue, (bull) => bull.getJobState(id));
  if (state === 'unknown') return undefined;
  const job = await store.job(queue, id); // later: what the state is told by is there then
  return { state: shownState(state, job), job };
}

/** The jobs that a job waits for, or has waited for, each once. */
export async function childPlaces(
  store: Store,
  place: JobPlace,
  kinds?: readonly ChildKind[],
): Promise<ChildPlace[]> {
  const places = new Map<string, ChildPlace>(); // one that ends while they are read is told as ended
  for await (const child of childrenOf(store, place, kinds)) places.set(child.id, child);
  return [...places.values()];
}

/** How many children of each kind a job has. */
export async function childCounts(
  access: JobAccess,
  { queue, id }: JobPlace,
): Promise<Readonly<Record<ChildKind, number>>> {
  const [unprocessed = 0, processed = 0, ignored = 0] = await access.on(queue, (bull) =>
    bull.getBackend().getDependencyCounts(id, ['unprocessed', 'processed', 'ignored']),
  );
  return { unprocessed, processed, ignored };
}

/** Ids of running jobs that are read at most. */
const MAX_RUNNING = 1000;

/** The ids of the jobs of a queue that run now. */
export async function runningIds(store: Store, queue: string): Promise<readonly string[]> {
  return store.on(queue, (bull) => bull.getRanges(['active'], 0, MAX_RUNNING - 1));
}
