/** The jobs that have ended, of several queues by time: what comes next is found again by when the last one ended. */
import { endedTimesIn } from '../bullmq/primitives/ended-jobs.js';
import type { Store } from '../bullmq/store.js';
import { momentOf, type StoredJob } from '../bullmq/stored-job.js';
import { ifBroken } from '../bullmq/tree.js';
import { BATCH, type Candidate, idsOf, jobsOf } from './candidate.js';
import type { EndedPlace } from './cursor.js';
import { firstIndex } from './locate.js';

export type EndedSet = 'completed' | 'failed';

/** Jobs by when they ended, the latest first; those of one moment by id, in BullMQ's order. */
interface Key {
  readonly at: number;
  readonly id: string;
}

const LATEST = Number.MAX_SAFE_INTEGER;

interface Bounds {
  readonly sinceMs: number | undefined;
  /** Not included. */
  readonly untilMs: number | undefined;
}

interface Found extends Key {
  readonly job: StoredJob | undefined;
  readonly index: number;
}

/** The ended jobs of some queues, the latest first, behind a place. */
export async function* endedJobs(
  store: Store,
  queues: readonly string[],
  set: EndedSet,
  { sinceMs = Number.NEGATIVE_INFINITY, untilMs }: Bounds,
  from?: EndedPlace,
): AsyncGenerator<Candidate> {
  const start = from ?? (untilMs === undefined ? undefined : { at: untilMs, id: '' });
  const heads = await Promise.all(
    queues.map(async (queue) => {
      const source = jobsBehind(store, queue, set, start, from?.indexes[queue] ?? 0);
      return { queue, source, next: await source.next(), index: from?.indexes[queue] ?? 0 };
    }),
  );
  for (;;) {
    let first: (typeof heads)[number] | undefined;
    for (const head of heads) {
      if (head.next.done) continue;
      if (first === undefined || isBehind(first.next.value as Found, head.next.value)) first = head;
    }
    if (first === undefined || first.next.done) return;
    const { at, id, job, index } = first.next.value;
    if (at < sinceMs) return;
    first.index = index + 1;
    const indexes = Object.fromEntries(heads.map((head) => [head.queue, head.index]));
    const { queue } = first;
    yield {
      job,
      at: { queue, id },
      state: set,
      place: (): EndedPlace => ({ kind: 'ended', set, at, id, indexes }),
    };
    first.next = await first.source.next();
  }
}

/** The ended jobs of one queue behind a moment; `hint` is where that was. */
async function* jobsBehind(
  store: Store,
  queue: string,
  set: EndedSet,
  start: Key | undefined,
  hint: number,
): AsyncGenerator<Found, undefined> {
  let last = start;
  let index = start === undefined ? 0 : await indexBehind(store, queue, set, start, hint);
  let before: string | undefined;
  for (;;) {
    let ids = await idsOf(store, queue, set, before === undefined ? index : index - 1, index + BATCH);
    if (before !== undefined && ids[0] === before) ids = ids.slice(1);
    else if (before !== undefined && last !== undefined) {
      // Others have ended meanwhile, or are gone.
      index = await indexBehind(store, queue, set, last, index);
      ids = await idsOf(store, queue, set, index, index + BATCH);
    }
    if (ids.length === 0) return undefined;
    const jobs = await jobsOf(store, queue, ids);
    for (const [offset, job] of jobs.entries()) {
      const id = ids[offset] ?? '';
      const at = job?.finishedAt ?? (await endedAt(store, queue, set, id)) ?? last?.at ?? LATEST;
      if (job !== undefined && last !== undefined && !isBehind({ at, id }, last)) continue; // given before
      last = { at, id };
      yield { at, id, job, index: index + offset };
    }
    index += ids.length;
    before = ids.at(-1);
  }
}

async function indexBehind(
  store: Store,
  queue: string,
  set: EndedSet,
  last: Key,
  hint: number,
): Promise<number> {
  const [size = 0] = await store.on(queue, (bull) => bull.getBackend().getCounts([set]));
  return firstIndex(size, hint, async (index) => {
    const key = await keyAt(store, queue, set, index);
    return key === undefined || isBehind(key, last);
  });
}

/** Of the first job from an index on that is there; undefined if there is none. */
async function keyAt(store: Store, queue: string, set: EndedSet, index: number): Promise<Key | undefined> {
  for (let from = index, count = 1; ; from += count, count = BATCH) {
    const ids = await idsOf(store, queue, set, from, from + count);
    if (ids.length === 0) return undefined;
    for (const id of ids) {
      const data = await store.on(queue, (bull) => bull.getBackend().getJobData(id).catch(ifBroken));
      const at = momentOf(data?.finishedOn) ?? (await endedAt(store, queue, set, id));
      if (at !== undefined) return { at, id };
    }
  }
}

/** Of a job whose own record does not tell it, by its place in the set. */
function endedAt(store: Store, queue: string, set: EndedSet, id: string): Promise<number | undefined> {
  return store.on(queue, async (bull) => endedTimesIn(bull.getBackend())?.endedAt(set, id));
}

/** Whether `a` stands behind `b`: it ended earlier. */
function isBehind(a: Key, b: Key): boolean {
  return a.at < b.at || (a.at === b.at && a.id < b.id);
}
