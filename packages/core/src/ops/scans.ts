/** This module finds the jobs of a query: in the index of a tag, in a run, or in the sets of the queues. `ops/jobs.ts` uses it. */

import { digestId } from '../job/ids.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_JOB, INTERNAL_QUEUE } from '../job/job-tree.js';
import type { EndedSet } from '../store/primitives/ended-jobs.js';
import type { RecordsAsked } from '../store/primitives/job-records.js';
import { type QueueCounts, queueCountsUpTo } from '../store/queues.js';
import {
  endedBehind,
  endInSet,
  hasEndedOrder,
  idsInSet,
  type ListedRecord,
  readJobs,
  recordedEndOf,
  sizeOfSet,
} from '../store/read.js';
import { errorTerm, isTaskNamed, searchedTaskTerm } from '../store/search-terms.js';
import type { Store } from '../store/store.js';
import type { StoredJob } from '../store/stored-job.js';
import type { NotIndexed, TaggedPlace, TagIndex, TagMark } from '../store/tags.js';
import { childrenOf } from '../store/tree.js';
import type {
  CursorPlace,
  EndedPlace,
  Filter,
  LivePlace,
  StoredState,
  TagPlace,
  WalkPlace,
} from './job-query.js';

// Candidates of a query, in an order in which a later page can continue.

/** Number of jobs that are read concurrently, at first and at most: most pages need no more than the first ones. */
const BATCH = { first: 50, most: 200 };
/** Returns how many jobs to read next: as many as before, so that pages of 50, 200 and 1,000 jobs read no others. */
const batchSize = (read: number): number => Math.min(Math.max(read, BATCH.first), BATCH.most);

export interface Candidate {
  /** Undefined if the store no longer holds it, or it cannot be read. */
  readonly job: StoredJob | undefined;
  /** Where it was expected; absent if another set will return it. */
  readonly at?: JobRef;
  /** BullMQ's state, if the set implies it. */
  readonly state?: string;
  /** The index says that this run has the task that is searched for. */
  readonly hasTask?: boolean;
  /** Where the next page continues after it. */
  readonly place: () => CursorPlace;
}

/** Reads jobs of several queues, in their order. */
async function readPlaces(store: Store, places: readonly JobRef[]): Promise<ListedRecord[]> {
  const records: ListedRecord[] = [];
  const queues = new Set(places.map(({ queue }) => queue));
  await Promise.all(
    [...queues].map(async (queue) => {
      const indexes = places.flatMap((place, index) => (place.queue === queue ? [index] : []));
      const found = await readJobs(
        store,
        queue,
        indexes.map((index) => places[index]?.id ?? ''),
        { withState: true },
      );
      for (const [at, index] of indexes.entries()) records[index] = found[at] ?? UNREAD;
    }),
  );
  return records;
}

/** Returns what to read of the jobs of a set: of the internal ones, only runs are listed. */
const askedOf = (queue: string): RecordsAsked => ({
  withState: false,
  name: queue === INTERNAL_QUEUE ? INTERNAL_JOB.run : undefined,
});

const UNREAD: ListedRecord = { job: undefined, mayHaveChildren: true };

/** A binary search that reads few items. */

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

// Ended jobs of several queues, by time. The next page is found by the time at which the last job ended.

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
async function* endedJobs(
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
    const ends = await endedBehind(store, queue, set, last, batchSize(read));
    if (ends.length === 0) return undefined;
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
  for (let read = 0; ; ) {
    const size = batchSize(read);
    let ids = await idsInSet(store, queue, set, before === undefined ? index : index - 1, index + size);
    if (before !== undefined && ids[0] === before) ids = ids.slice(1);
    else if (before !== undefined && last !== undefined) {
      // Other jobs have ended or were removed in the meantime.
      index = await indexBehind(store, queue, set, last, index);
      ids = await idsInSet(store, queue, set, index, index + size);
    }
    if (ids.length === 0) return undefined;
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
    read += ids.length;
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

// Unended jobs of a set, which changes at both ends while it is read.

/** Number of jobs by which a position is found again: some of them may have left the set. */
const NEAR = 10;
/** Number of ids that are searched if those jobs have moved far away. */
const SEARCHED = { atOnce: 1000, max: 10_000 };

/** Yields the jobs of a set after a position, latest first, or oldest first. */
async function* liveJobs(
  store: Store,
  queue: string,
  set: string,
  isOldestFirst: boolean,
  from?: LivePlace,
): AsyncGenerator<Candidate> {
  let index = from?.index ?? 0;
  let near = from?.near ?? [];
  for (let read = 0; ; ) {
    const size = batchSize(read);
    const start = await placeBehind(store, { queue, set, isOldestFirst }, index, near);
    const ids = await idsInSet(store, queue, set, start, start + size, isOldestFirst);
    if (ids.length === 0) return;
    const jobs = await readJobs(store, queue, ids, askedOf(queue));
    const marks = [...near, ...ids.map(markOf)];
    const seen = near.length;
    for (const [at, { job, other }] of jobs.entries()) {
      const end = seen + at + 1;
      const place = (): LivePlace => ({
        kind: 'live',
        set,
        queue,
        index: start + at + 1,
        near: marks.slice(Math.max(0, end - NEAR), end),
      });
      // It had moved to another set when it was read, where it is found again.
      const isHere = job?.finishedAt === undefined && other === undefined;
      const id = ids[at] ?? '';
      yield { job: isHere ? job : undefined, ...(isHere && { at: { queue, id } }), state: set, place };
    }
    read += ids.length;
    index = start + ids.length;
    near = marks.slice(-NEAR);
  }
}

/** Returns the index after the last of these jobs that is still in the set; `index` if none is. */
async function placeBehind(
  store: Store,
  { queue, set, isOldestFirst }: { queue: string; set: string; isOldestFirst: boolean },
  index: number,
  near: readonly string[],
): Promise<number> {
  if (near.length === 0) return index;
  const search = async (from: number, to: number): Promise<number | undefined> => {
    const marks = (await idsInSet(store, queue, set, from, to, isOldestFirst)).map(markOf);
    for (const mark of near.toReversed()) {
      const at = marks.lastIndexOf(mark);
      if (at >= 0) return from + at + 1;
    }
    return undefined;
  };
  // Usually it is at that index. Otherwise jobs were added before it or removed.
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

/** Cursors hold hashes, because ids may be long. */
function markOf(id: string): string {
  return digestId(id, 10);
}

// Jobs of a run, in an order that does not change while they end.

/**
 * Yields the jobs below a job, each before the jobs it waits for, siblings by id. Starts after the job at the end of `from`.
 * `placeAt` returns where the next page continues, from the path to a job.
 */
async function* jobsBelow(
  store: Store,
  above: JobRef,
  placeAt: (path: readonly string[]) => CursorPlace,
  from: readonly string[] = [],
  way: readonly string[] = [],
  known?: readonly JobRef[],
): AsyncGenerator<Candidate> {
  const [resumed, ...below] = from;
  const siblings = (known ?? (await childPlaces(store, above))).filter(
    ({ id }) => resumed === undefined || id >= resumed,
  );
  for (let start = 0; start < siblings.length; start += BATCH.first) {
    const batch = siblings.slice(start, start + BATCH.first);
    const records = await readPlaces(store, batch);
    const children: JobRef[][] = [];
    for (const [index, place] of batch.entries()) {
      // Ever more at once: a page may end within the first ones, and each may have many.
      if (index === children.length) {
        const next = batch.slice(index, 2 * index + 2);
        const found = next.map((each, at) =>
          records[index + at]?.mayHaveChildren === false ? [] : childPlaces(store, each),
        );
        children.push(...(await Promise.all(found)));
      }
      const path = [...way, place.id];
      const isResumed = place.id === resumed;
      if (!isResumed) yield { ...jobAndState(records[index]), at: place, place: () => placeAt(path) };
      yield* jobsBelow(store, place, placeAt, isResumed ? below : [], path, children[index]);
    }
  }
}

/** Returns what a candidate needs of a record. Jobs that cannot be read are looked up one by one. */
function jobAndState({ job, state }: ListedRecord = UNREAD): Pick<Candidate, 'job' | 'state'> {
  return job !== undefined && state !== undefined ? { job, state } : { job };
}

/** Returns the jobs that a job waits for or has waited for, by id. */
async function childPlaces(store: Store, above: JobRef): Promise<JobRef[]> {
  const found = new Map<string, JobRef>();
  for await (const { queue, id } of childrenOf(store, above)) found.set(`${queue}:${id}`, { queue, id });
  return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

export interface ScanDependencies {
  readonly store: Store;
  readonly tags: TagIndex;
  readonly now: () => number;
  /** The queues to search. */
  readonly queues: readonly string[];
  /** Whether the query is for runs rather than for their jobs. */
  readonly isOfRuns: boolean;
  /** Receives what a search in an index leaves out. Undefined: it waits until all is in the index. */
  readonly notIndexed?: NotIndexed | undefined;
}

/** BullMQ's sets, in the order in which jobs go through them. */
const LIVE: readonly (readonly [set: string, state: StoredState])[] = [
  ['waiting-children', 'waiting-children'],
  ['delayed', 'delayed'],
  ['waiting', 'waiting'],
  ['paused', 'waiting'],
  ['prioritized', 'waiting'],
  ['active', 'active'],
];
const ENDED: readonly (readonly [set: EndedSet, states: readonly StoredState[]])[] = [
  ['failed', ['failed', 'expired', 'revoked', 'skipped']],
  ['completed', ['completed', 'skipped']],
];

/** Yields the candidates of a filter after a position. */
export function candidates(
  dependencies: ScanDependencies,
  filter: Filter,
  from: CursorPlace | undefined,
): AsyncGenerator<Candidate> {
  if (filter.run !== undefined)
    return ofRun(dependencies, filter.run, from?.kind === 'walk' ? from : undefined);
  if (filter.tag !== undefined)
    return ofLabel(dependencies, { label: filter.tag }, from?.kind === 'tag' ? from : undefined);
  const search = searchOf(dependencies, filter);
  return search === undefined
    ? ofSets(dependencies, filter, from)
    : ofSearch(dependencies, filter, search, from);
}

/** A search in the index of tags. */
interface LabelSearch {
  /** A tag, or a term of the search index. */
  readonly label: string;
  /** The task to search for. */
  readonly task?: string;
}

/** Returns the search in the index that finds all jobs of a filter; undefined if there is none. */
function searchOf({ tags }: ScanDependencies, { task, error, condition }: Filter): LabelSearch | undefined {
  // The index has the latest jobs first; late jobs are the oldest.
  if (!tags.hasTerms || condition !== undefined) return undefined;
  if (error !== undefined) return { label: errorTerm(error) };
  const label = task === undefined ? undefined : searchedTaskTerm(task);
  return label === undefined || task === undefined ? undefined : { label, task };
}

/**
 * Number of jobs up to which the sets of the queues are read although there is an index: no more than one page reads. For runs
 * fewer, because their jobs are read too.
 */
const FEW = { jobs: 1000, runs: 50 };

/** Yields the candidates of a filter from the sets of the queues if these have few jobs, else from the index. */
async function* ofSearch(
  dependencies: ScanDependencies,
  filter: Filter,
  search: LabelSearch,
  from: CursorPlace | undefined,
): AsyncGenerator<Candidate> {
  const few = dependencies.isOfRuns ? FEW.runs : FEW.jobs;
  if (from?.kind === 'tag' || (from === undefined && (await sizeOfSets(dependencies, filter, few)) > few))
    yield* ofLabel(dependencies, search, from);
  else yield* ofSets(dependencies, filter, from);
}

/** Returns the number of jobs in the sets that may have jobs of a filter; some number beyond `few` if there are more. */
async function sizeOfSets(
  { store, queues }: ScanDependencies,
  { states }: Filter,
  few: number,
): Promise<number> {
  const sets = new Set<keyof QueueCounts>();
  for (const [, state] of LIVE) if (states?.has(state) !== false) sets.add(state as keyof QueueCounts);
  for (const [set, of] of ENDED)
    if (states === undefined || of.some((state) => states.has(state))) sets.add(set);
  const counts = await Promise.all(queues.map((queue) => queueCountsUpTo(store, queue, few + 1)));
  return counts.flatMap((each) => [...sets].map((set) => each[set])).reduce((sum, size) => sum + size, 0);
}

/** The states of jobs that have not ended, in the order of `LIVE`. */
const STATES = [...new Set(LIVE.map(([, state]) => state))];

/** Returns the index of the first state in which a queue has jobs. */
function firstState(counts: QueueCounts | undefined): number {
  const first = STATES.findIndex((state) => (counts?.[state as keyof QueueCounts] ?? 0) > 0);
  return first < 0 ? STATES.length : first;
}

async function* ofSets(
  { store, queues }: ScanDependencies,
  { states, isOldestFirst, sinceMs, untilMs }: Filter,
  from: CursorPlace | undefined,
): AsyncGenerator<Candidate> {
  let resumed: CursorPlace | undefined = from;
  const counts = await Promise.all(queues.map((queue) => queueCountsUpTo(store, queue, 1)));
  const firsts = new Map(queues.map((queue, index) => [queue, firstState(counts[index])]));
  for (const [set, state] of LIVE) {
    if (states !== undefined && !states.has(state)) continue;
    for (const queue of queues) {
      const isHere = resumed?.kind === 'live' && resumed.set === set && resumed.queue === queue;
      if (resumed !== undefined && !isHere) continue;
      // Sets that were empty stay so, but for new jobs: those that move on come from an earlier set.
      if (!isHere && STATES.indexOf(state) < (firsts.get(queue) ?? 0)) continue;
      const place = isHere && resumed?.kind === 'live' ? resumed : undefined;
      yield* liveJobs(store, queue, set, isOldestFirst, place);
      resumed = undefined;
    }
  }
  for (const [set, of] of ENDED) {
    if (states !== undefined && !of.some((state) => states.has(state))) continue;
    const place: EndedPlace | undefined =
      resumed?.kind === 'ended' && resumed.set === set ? resumed : undefined;
    if (resumed !== undefined && place === undefined) continue;
    yield* endedJobs(store, queues, set, { sinceMs, untilMs }, place);
    resumed = undefined;
  }
}

async function* ofRun(
  { store }: ScanDependencies,
  run: string,
  from: WalkPlace | undefined,
): AsyncGenerator<Candidate> {
  const placeAt = (path: readonly string[]): WalkPlace => ({ kind: 'walk', path });
  yield* jobsBelow(store, { queue: INTERNAL_QUEUE, id: run }, placeAt, from?.path);
}

async function* ofLabel(
  { store, tags, now, isOfRuns, notIndexed }: ScanDependencies,
  { label, task }: LabelSearch,
  from: TagPlace | undefined,
): AsyncGenerator<Candidate> {
  await store.timeKnown();
  const position = from && { mark: from.mark, isBehind: from.path === undefined };
  const resumed = from?.path === undefined ? undefined : keyOf(from.mark);
  const entries =
    notIndexed === undefined
      ? tags.find(label, now(), position)
      : tags.findAtOnce(label, now(), notIndexed, position);
  for await (const places of inBatches(entries)) {
    const chosen = places.filter(({ queue }) => (queue === INTERNAL_QUEUE) === isOfRuns);
    const read = await readPlaces(store, chosen);
    const records = new Map(chosen.map((place, index) => [place, read[index]]));
    for (const place of places) {
      const { queue, id, mark } = place;
      const { job, state } = jobAndState(records.get(place));
      const isRun = queue === INTERNAL_QUEUE;
      const placeAt = (path?: readonly string[]): TagPlace => ({
        kind: 'tag',
        mark,
        ...(path !== undefined && { path }),
      });
      // A call of another task has added jobs of this task below itself.
      const hasOthers = task !== undefined && job !== undefined && !isTaskNamed(job.name, task);
      if ((isRun || hasOthers) && !isOfRuns)
        yield* jobsBelow(store, { queue, id }, placeAt, keyOf(mark) === resumed ? from?.path : []);
      yield {
        job,
        ...(state !== undefined && { state }),
        ...(isRun === isOfRuns && { at: { queue, id } }),
        ...(isOfRuns && { hasTask: task !== undefined }),
        place: () => placeAt(),
      };
    }
  }
}

/** Number of entries of the index whose jobs are read concurrently: about those of a page of a list. */
const ENTRIES = 50;

async function* inBatches(places: AsyncIterable<TaggedPlace>): AsyncGenerator<readonly TaggedPlace[]> {
  let batch: TaggedPlace[] = [];
  for await (const place of places) {
    batch.push(place);
    if (batch.length < ENTRIES) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function keyOf(mark: TagMark): string {
  return 'at' in mark ? `${mark.at} ${mark.queue}/${mark.id}` : `${mark.day} ${mark.line}`;
}
