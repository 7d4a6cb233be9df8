/** The jobs of a set that have not ended: it changes at both ends while it is read. */
import { createHash } from 'node:crypto';
import type { Store } from '../bullmq/store.js';
import { BATCH, type Candidate, idsOf, jobsOf } from './candidate.js';
import type { LivePlace } from './cursor.js';

/** Jobs by which the place is found again: some of them may have moved on. */
const NEAR = 10;
/** Where these have gone far away, so many ids are searched. */
const SEARCHED = { atOnce: 1000, max: 10_000 };

/** The jobs of a set, the latest first, behind a place. */
export async function* liveJobs(
  store: Store,
  queue: string,
  set: string,
  from?: LivePlace,
): AsyncGenerator<Candidate> {
  let index = from?.index ?? 0;
  let near = from?.near ?? [];
  for (;;) {
    const start = await placeBehind(store, queue, set, index, near);
    const ids = await idsOf(store, queue, set, start, start + BATCH);
    if (ids.length === 0) return;
    const jobs = await jobsOf(store, queue, ids);
    const marks = [...near, ...ids.map(markOf)];
    const seen = near.length;
    for (const [at, job] of jobs.entries()) {
      const end = seen + at + 1;
      const place = (): LivePlace => ({
        kind: 'live',
        set,
        queue,
        index: start + at + 1,
        near: marks.slice(Math.max(0, end - NEAR), end),
      });
      // It was elsewhere when it was read: there it is found again.
      const isHere = job?.finishedAt === undefined;
      const id = ids[at] ?? '';
      yield { job: isHere ? job : undefined, ...(isHere && { at: { queue, id } }), state: set, place };
    }
    index = start + ids.length;
    near = marks.slice(-NEAR);
  }
}

/** The index behind the last of these jobs that is still there; the given one if none is. */
async function placeBehind(
  store: Store,
  queue: string,
  set: string,
  index: number,
  near: readonly string[],
): Promise<number> {
  if (near.length === 0) return index;
  const search = async (from: number, to: number): Promise<number | undefined> => {
    const marks = (await idsOf(store, queue, set, from, to)).map(markOf);
    for (const mark of near.toReversed()) {
      const at = marks.lastIndexOf(mark);
      if (at >= 0) return from + at + 1;
    }
    return undefined;
  };
  // Usually there; else jobs have come before it, or have gone.
  const close = await search(Math.max(0, index - NEAR), index + NEAR);
  if (close !== undefined) return close;
  for (let offset = 0; offset < SEARCHED.max; offset += SEARCHED.atOnce) {
    const later = await search(index + offset, index + offset + SEARCHED.atOnce);
    if (later !== undefined) return later;
    const from = Math.max(0, index - offset - SEARCHED.atOnce);
    const earlier = index > offset ? await search(from, index - offset) : undefined;
    if (earlier !== undefined) return earlier;
  }
  return index;
}

/** Ids may be long, and a cursor is not. */
function markOf(id: string): string {
  return createHash('sha256').update(id).digest('base64url').slice(0, 10);
}
