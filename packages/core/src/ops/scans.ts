/** This module finds the jobs of a query: in the index of a tag, in a run, or in the sets of the queues. `ops/jobs.ts` uses it. */

import { digestId } from '../job/ids.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import type { EndedSet } from '../store/primitives/ended-jobs.js';
import { type QueueCounts, queueCountsUpTo } from '../store/queues.js';
import { childPlaces, idsInSet, type ListedRecord, readJobs } from '../store/read.js';
import { errorTerm, isTaskNamed, searchedTaskTerm } from '../store/search-terms.js';
import type { Store } from '../store/store.js';
import type { NotIndexed, TaggedPlace, TagIndex, TagMark } from '../store/tags.js';
import { askedOf, BATCH, batchSize, type Candidate, UNREAD } from './candidates.js';
import { endedJobs } from './ended-scan.js';
import type {
  CursorPlace,
  EndedPlace,
  Filter,
  LivePlace,
  StoredState,
  TagPlace,
  WalkPlace,
} from './job-query.js';

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
    const { start, ids } = await idsBehind(store, { queue, set, isOldestFirst }, { index, near }, size);
    if (ids.length === 0) return;
    const isEnd = ids.length < size;
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
    if (isEnd) return;
    read += ids.length;
    index = start + ids.length;
    near = marks.slice(-NEAR);
  }
}

/** A set that changes at both ends, in the order in which it is read. */
interface LiveSet {
  readonly queue: string;
  readonly set: string;
  readonly isOldestFirst: boolean;
}

/** Returns up to `size` ids after the last of some jobs that is still in the set, and the index of the first of them. */
async function idsBehind(
  store: Store,
  live: LiveSet,
  { index, near }: Pick<LivePlace, 'index' | 'near'>,
  size: number,
): Promise<{ readonly start: number; readonly ids: readonly string[] }> {
  const read = (from: number, to: number) =>
    idsInSet(store, live.queue, live.set, from, to, live.isOldestFirst);
  if (near.length === 0) return { start: index, ids: await read(index, index + size) };
  const from = Math.max(0, index - NEAR);
  const ids = await read(from, index + NEAR + size);
  const place = placeBehind(ids.slice(0, index - from + NEAR), near);
  // Usually it is near its index. Otherwise many jobs were added before it or removed.
  if (place !== undefined) return { start: from + place, ids: ids.slice(place, place + size) };
  const start = await distantPlace(read, { index, near });
  return { start, ids: await read(start, start + size) };
}

/** Returns the index after the last of these jobs among some ids; undefined if none is there. */
function placeBehind(ids: readonly string[], near: readonly string[]): number | undefined {
  const marks = ids.map(markOf);
  for (const mark of near.toReversed()) {
    const at = marks.lastIndexOf(mark);
    if (at >= 0) return at + 1;
  }
  return undefined;
}

/** Returns the index after the last of these jobs in the set, searched at growing distances; `index` if none is found. */
async function distantPlace(
  read: (from: number, to: number) => Promise<readonly string[]>,
  { index, near }: Pick<LivePlace, 'index' | 'near'>,
): Promise<number> {
  const search = async (from: number, to: number): Promise<number | undefined> => {
    const place = placeBehind(await read(from, to), near);
    return place === undefined ? undefined : from + place;
  };
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
  const siblings = (known ?? (await childrenById(store, above))).filter(
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
          records[index + at]?.mayHaveChildren === false ? [] : childrenById(store, each),
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
async function childrenById(store: Store, above: JobRef): Promise<JobRef[]> {
  return (await childPlaces(store, above)).sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
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
