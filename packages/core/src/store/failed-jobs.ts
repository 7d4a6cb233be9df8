/** This module lists the failed jobs of several queues in one order, read page by page. `app.deadLetters` uses it. */

import { knownJob } from './read.js';
import type { Store } from './store.js';
import { momentOf, type StoredJob } from './stored-job.js';
import { ifBroken } from './tree.js';

/** A failed job; unreadable parts are absent. */
export interface FailedJob extends DeadLetterPosition {
  readonly job: StoredJob;
  /** Why its record is unreadable; absent if it is readable. */
  readonly unreadable?: string;
}

/** Number of ids that one command reads, and of jobs of a queue that are in memory at the same time. */
const PAGE = 25;

/** Yields jobs that failed at `untilMs` or earlier and come after the position: the latest first. */
export async function* failedJobs(
  store: Store,
  queues: readonly string[],
  {
    untilMs,
    after,
  }: { readonly untilMs: number | undefined; readonly after: DeadLetterPosition | undefined },
): AsyncGenerator<FailedJob> {
  const bounds = [untilMs, after?.at].filter((bound) => bound !== undefined);
  const from = bounds.length === 0 ? undefined : Math.min(...bounds);
  const streams = queues.map((queue) => failedIn(store, queue, from));
  const heads = await Promise.all(streams.map(nextOf));
  for (;;) {
    let first: FailedJob | undefined;
    for (const head of heads)
      if (head !== undefined && (first === undefined || compareDeadLetters(head, first) < 0)) first = head;
    if (first === undefined) return;
    if (after === undefined || compareDeadLetters(after, first) < 0) yield first;
    const index = heads.indexOf(first);
    const stream = streams[index];
    heads[index] = stream && (await nextOf(stream));
  }
}

async function nextOf(stream: AsyncGenerator<FailedJob>): Promise<FailedJob | undefined> {
  const { done, value } = await stream.next();
  return done ? undefined : value;
}

type Found = Pick<FailedJob, 'job' | 'unreadable'>;

/**
 * Yields the failed jobs of one queue. Concurrent removals and failures cause neither duplicates nor gaps. A job whose
 * time is unreadable gets the time of the job before it, else of the job after it.
 */
async function* failedIn(
  store: Store,
  queue: string,
  untilMs: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<FailedJob> {
  let at = untilMs;
  // Jobs of the same millisecond: stores order them differently.
  let sameTime: [id: string, found: Found][] = [];
  const sorted = () =>
    sameTime
      .map(([id, found]): FailedJob => ({ ...found, at: Number.isFinite(at) ? at : 0, queue, id }))
      .sort(compareDeadLetters);
  const seen = new Set<string>();
  let hasTime = false;
  let page = await pageUntil(store, queue, untilMs);
  while (!page.isEnd) {
    const read = await Promise.all(page.ids.map((id) => readFailed(store, queue, id)));
    for (const [index, found] of read.entries()) {
      const id = page.ids[index] ?? '';
      if (found === undefined || seen.has(id)) continue;
      const failedAt = momentOf(found.job.finishedAt);
      // It was replayed, or has failed again, since the page was read.
      if (failedAt === undefined ? !(await isFailed(store, queue, id, found)) : failedAt > at) continue;
      if (failedAt !== undefined && failedAt !== at) {
        if (hasTime) {
          yield* sorted();
          sameTime = [];
          seen.clear();
        }
        at = failedAt;
      }
      hasTime ||= failedAt !== undefined;
      seen.add(id);
      sameTime.push([id, found]);
    }
    page = await pageAfter(store, queue, page, at);
  }
  yield* sorted();
}

/** Ids of failed jobs, the latest first, and the index after the last one. */
interface Page {
  readonly ids: readonly string[];
  readonly end: number;
  readonly last: string | undefined;
  /** Whether the page is empty: there are no more jobs. */
  readonly isEnd: boolean;
}

/** Returns the next page. `failedAt` is the time of the last job of the page, to find the position again after changes. */
async function pageAfter(store: Store, queue: string, { end, last }: Page, failedAt: number): Promise<Page> {
  const [first, ...ids] = await idsOf(store, queue, end - 1, end + PAGE - 1);
  if (first !== last) return pageUntil(store, queue, failedAt);
  return { ids, end: end + ids.length, last: ids.at(-1), isEnd: ids.length === 0 };
}

/** Returns the first page of jobs that failed at `untilMs` or earlier; some later failures may precede them. */
async function pageUntil(store: Store, queue: string, untilMs: number): Promise<Page> {
  for (;;) {
    const start = untilMs === Number.POSITIVE_INFINITY ? 0 : await firstUntil(store, queue, untilMs);
    const page = await pageAt(store, queue, start, untilMs);
    if (page !== undefined) return page;
  }
}

/**
 * Returns the page from an index on; undefined unless all jobs before it failed later than `untilMs`, because jobs were
 * added or removed. Times only grow, so a job that failed later is still later when the page is read afterwards.
 */
async function pageAt(
  store: Store,
  queue: string,
  index: number,
  untilMs: number,
): Promise<Page | undefined> {
  const unreadable = new Set<string>();
  for (let start = index; start > 0; start -= 1) {
    const [before] = await idsOf(store, queue, start - 1, start - 1);
    const time = before === undefined ? undefined : await timeOf(store, queue, before);
    if (before === undefined || (time !== undefined && time <= untilMs)) return undefined;
    if (time === undefined) {
      unreadable.add(before); // counts as late as the job before it
      continue;
    }
    const [same, ...ids] = await idsOf(store, queue, start - 1, start + PAGE - 1);
    if (same !== before) return undefined;
    return pageOf(ids, start, unreadable);
  }
  return pageOf(await idsOf(store, queue, 0, PAGE - 1), 0, unreadable);
}

function pageOf(ids: readonly string[], start: number, unreadable: ReadonlySet<string>): Page {
  const readable = ids.filter((id) => !unreadable.has(id));
  return { ids: readable, end: start + ids.length, last: ids.at(-1), isEnd: ids.length === 0 };
}

function idsOf(store: Store, queue: string, first: number, last: number): Promise<string[]> {
  return store.on(queue, (bull) => bull.getRanges(['failed'], first, last, false));
}

/** Returns the number of jobs of a queue that failed later than `untilMs`. */
async function firstUntil(store: Store, queue: string, untilMs: number): Promise<number> {
  let low = 0;
  let high = await store.on(queue, (bull) => bull.getJobCountByTypes('failed'));
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await timeAt(store, queue, middle)) > untilMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Returns when the job at this index failed; -Infinity if there is none. */
async function timeAt(store: Store, queue: string, index: number): Promise<number> {
  for (const step of [-1, 1]) {
    for (let at = index; at >= 0; at += step) {
      const [id] = await idsOf(store, queue, at, at);
      if (id === undefined) break;
      const time = await timeOf(store, queue, id);
      if (time !== undefined) return time;
    }
  }
  return Number.NEGATIVE_INFINITY;
}

/** Returns when a job failed; undefined if the time is unreadable or the job waits again. */
async function timeOf(store: Store, queue: string, id: string): Promise<number | undefined> {
  const json = await store.on(queue, (bull) => bull.getBackend().getJobData(id).catch(ifBroken));
  return momentOf(json?.finishedOn);
}

/** Returns whether a job without a time has failed: its record may be unreadable. */
async function isFailed(store: Store, queue: string, id: string, { unreadable }: Found): Promise<boolean> {
  return unreadable !== undefined || (await store.on(queue, (bull) => bull.getJobState(id))) === 'failed';
}

/** Returns the readable parts of a failed job; undefined if the store does not hold it. */
export async function readFailed(store: Store, queue: string, id: string): Promise<Found | undefined> {
  const job = await knownJob(store, { queue, id });
  return job && { job, ...(job.problem !== undefined && { unreadable: job.problem }) };
}

/** A position in the order of the dead letters: the latest first, then by queue, then by id. */
export interface DeadLetterPosition {
  /** When it failed, in milliseconds since 1970. */
  readonly at: number;
  readonly queue: string;
  readonly id: string;
}

/** Compares two positions. Returns a negative number if `a` comes before `b`. */
function compareDeadLetters(a: DeadLetterPosition, b: DeadLetterPosition): number {
  if (a.at !== b.at) return b.at - a.at;
  if (a.queue !== b.queue) return a.queue < b.queue ? -1 : 1;
  return a.id === b.id ? 0 : a.id > b.id ? -1 : 1;
}
