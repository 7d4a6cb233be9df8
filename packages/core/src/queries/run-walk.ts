/** The jobs of a run, one by one, in an order that does not change while they end. */
import type { Store } from '../bullmq/store.js';
import { childrenOf, type JobPlace } from '../bullmq/tree.js';
import { BATCH, type Candidate, jobsOf } from './candidate.js';
import type { CursorPlace } from './cursor.js';

/**
 * The jobs below one, each before those that it waits for, and those of one job by id; behind the one at the end of
 * `from`. `placeAt`: where to go on behind a job, by the way to it.
 */
export async function* jobsBelow(
  store: Store,
  above: JobPlace,
  placeAt: (path: readonly string[]) => CursorPlace,
  from: readonly string[] = [],
  way: readonly string[] = [],
): AsyncGenerator<Candidate> {
  const [resumed, ...below] = from;
  const children = (await childPlaces(store, above)).filter(
    ({ id }) => resumed === undefined || id >= resumed,
  );
  for (let start = 0; start < children.length; start += BATCH) {
    const batch = children.slice(start, start + BATCH);
    const jobs = await Promise.all(batch.map(({ queue, id }) => jobsOf(store, queue, [id])));
    for (const [index, place] of batch.entries()) {
      const path = [...way, place.id];
      const isResumed = place.id === resumed;
      if (!isResumed) yield { job: jobs[index]?.[0], at: place, place: () => placeAt(path) };
      yield* jobsBelow(store, place, placeAt, isResumed ? below : [], path);
    }
  }
}

/** The jobs that one waits for or has waited for, by id. */
async function childPlaces(store: Store, above: JobPlace): Promise<JobPlace[]> {
  const found = new Map<string, JobPlace>();
  for await (const { queue, id } of childrenOf(store, above)) found.set(`${queue}:${id}`, { queue, id });
  return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}
