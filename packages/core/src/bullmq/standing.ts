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
  // In one round trip, and in this order: what the state is told by is there when the job is read.
  const [state, job] = await Promise.all([
    store.on(queue, (bull) => bull.getJobState(id)),
    store.job(queue, id),
  ]);
  return state === 'unknown' ? undefined : { state: shownState(state, job), job };
}

/** The jobs that a job waits for, or has waited for, each once. */
export async function childPlaces(
  store: Store,
  place: JobPlace,
  kinds: readonly ChildKind[] = ['unprocessed', 'processed', 'ignored'],
): Promise<ChildPlace[]> {
  // The first pages in one round trip, and in this order: one that ends meanwhile is among the later ones too.
  const found = await Promise.all(kinds.map((kind) => childrenOfKind(store, place, kind)));
  const places = new Map<string, ChildPlace>();
  for (const child of found.flat()) places.set(child.id, child);
  return [...places.values()];
}

async function childrenOfKind(store: Store, place: JobPlace, kind: ChildKind): Promise<ChildPlace[]> {
  const children: ChildPlace[] = [];
  for await (const child of childrenOf(store, place, [kind])) children.push(child);
  return children;
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
