/**
 * This module yields the ended jobs of several queues by time. The next page is found by the time at which the last job ended:
 * by the store itself, or by a binary search that reads few items.
 */

import type { EndedSet } from '../store/primitives/ended-jobs.js';
import {
  endedBehind,
  endInSet,
  hasEndedOrder,
  idsInSet,
  readJobs,
  recordedEndOf,
  sizeOfSet,
} from '../store/read.js';
import type { Store } from '../store/store.js';
import type { StoredJob } from '../store/stored-job.js';
import { askedOf, BATCH, batchSize, type Candidate, UNREAD } from './candidates.js';
import type { EndedPlace } from './job-query.js';

/** Jobs by the time of their end, latest first; jobs of the same moment by id, in BullMQ's order. */
interface Key {
  readonly at: number;
  readonly id: string;
}

const LATEST = Number.MAX_SAFE_INTEGER;

interface Bounds {
  readonly sinceMs: number | undefined;
  /** Exclusive. */
  readonly untilMs: number | undefined;
}

interface Found extends Key {
  readonly job: StoredJob | undefined;
  /** Whether it is an internal job that is no run, and was not read. */
  readonly isOther: boolean;
  readonly index: number;
}

/** Yields the ended jobs of some queues after a position, latest first. */
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
      const isOrdered = await hasEndedOrder(store, queue);
      const source = (isOrdered ? jobsInOrder : jobsBehind)(
        store,
        queue,
        set,
        start,
        from?.indexes[queue] ?? 0,
      );
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
    const { at, id, job, isOther, index } = first.next.value;
    if (at < sinceMs) return;
    first.index = index + 1;
    const indexes = Object.fromEntries(heads.map((head) => [head.queue, head.index]));
    const { queue } = first;
    yield {
      job,
      ...(!isOther && { at: { queue, id } }),
      state: set,
      place: (): EndedPlace => ({ kind: 'ended', set, at, id, indexes }),
    };
    first.next = await first.source.next();
  }
}

/** Yields the ended jobs of one queue before a moment, which the store finds by their ends. */
async function* jobsInOrder(
  store: Store,
  queue: string,
  set: EndedSet,
  start: Key | undefined,
  firstIndex: number,
): AsyncGenerator<Found, undefined> {
  let last = start;
  for (let read = 0; ; ) {
    const size = batchSize(read);
    const ends = await endedBehind(store, queue, set, last, size);
    if (ends.length === 0) return undefined;
    const isEnd = ends.length < size;
    const jobs = await readJobs(
      store,
      queue,
      ends.map(({ id }) => id),
      askedOf(queue),
    );
    for (const [offset, end] of ends.entries()) {
      const { job, other } = jobs[offset] ?? UNREAD;
      yield { ...end, job, isOther: other !== undefined, index: firstIndex + read + offset };
    }
    if (isEnd) return undefined;
    read += ends.length;
    last = ends.at(-1);
  }
}

/** Yields the ended jobs of one queue before a moment; `hint` is the index that the moment had. */
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
  let size = batchSize(0);
  for (let read = 0; ; ) {
    let ids = await idsInSet(store, queue, set, before === undefined ? index : index - 1, index + size);
    if (before !== undefined && ids[0] === before) ids = ids.slice(1);
    else if (before !== undefined && last !== undefined) {
      // Other jobs have ended or were removed in the meantime.
      index = await indexBehind(store, queue, set, last, index);
      ids = await idsInSet(store, queue, set, index, index + size);
    }
    if (ids.length === 0) return undefined;
    const isEnd = ids.length < size;
    const jobs = await readJobs(store, queue, ids, askedOf(queue));
    for (const [offset, { job, other }] of jobs.entries()) {
      const id = ids[offset] ?? '';
      const at =
        job?.finishedAt ??
        other?.finishedAt ??
        (await endInSet(store, { queue, id: id }, set)) ??
        last?.at ??
        LATEST;
      if ((job ?? other) !== undefined && last !== undefined && !isBehind({ at, id }, last)) continue; // returned before
      last = { at, id };
      yield { at, id, job, isOther: other !== undefined, index: index + offset };
    }
    if (isEnd) return undefined;
    read += ids.length;
    index += ids.length;
    before = ids.at(-1);
    const others = jobs.filter(({ other }) => other !== undefined).length;
    // A large run has many other jobs, of which little is read.
    size = others > ids.length / 2 ? BATCH.most : batchSize(read);
  }
}

async function indexBehind(
  store: Store,
  queue: string,
  set: EndedSet,
  last: Key,
  hint: number,
): Promise<number> {
  const size = await sizeOfSet(store, queue, set);
  return firstIndex(size, hint, async (index) => {
    const key = await keyAt(store, queue, set, index);
    return key === undefined || isBehind(key, last);
  });
}

/** Returns the time of the first existing job from an index on; undefined if there is none. */
async function keyAt(store: Store, queue: string, set: EndedSet, index: number): Promise<Key | undefined> {
  for (let from = index, count = 1; ; from += count, count = BATCH.first) {
    const ids = await idsInSet(store, queue, set, from, from + count);
    if (ids.length === 0) return undefined;
    for (const id of ids) {
      const at = (await recordedEndOf(store, { queue, id })) ?? (await endInSet(store, { queue, id }, set));
      if (at !== undefined) return { at, id };
    }
  }
}

/** Returns whether `a` comes after `b` in the list: it ended earlier. */
function isBehind(a: Key, b: Key): boolean {
  return a.at < b.at || (a.at === b.at && a.id < b.id);
}

/**
 * Returns the first index at which `isPast` is true; `size` if there is none. It must be true for all later indexes. Searches
 * near `hint` first.
 */
export async function firstIndex(
  size: number,
  hint: number,
  isPast: (index: number) => Promise<boolean>,
): Promise<number> {
  let low = 0; // false for all before it
  let high = size; // true from here on
  let at = Math.min(Math.max(hint, 0), size);
  // Doubles the distance from the hint until the index is passed.
  if (at < size && (await isPast(at))) {
    high = at;
    for (let step = 1; high > low; step *= 2) {
      at = Math.max(high - step, low);
      if (!(await isPast(at))) {
        low = at + 1;
        break;
      }
      high = at;
    }
  } else if (at < size) {
    low = at + 1;
    for (let step = 1; low < size; step *= 2) {
      at = Math.min(low + step - 1, size - 1);
      if (await isPast(at)) {
        high = at;
        break;
      }
      low = at + 1;
    }
  } else if (size > 0 && !(await isPast(size - 1))) {
    return size;
  } else if (size > 0) {
    high = size - 1;
  }
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await isPast(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
