/** The failed jobs of several queues in one order, read page by page. */

import type { Store } from './store.js';
import { momentOf, type StoredJob } from './stored-job.js';
import { ifBroken, knownJob } from './tree.js';

/** A failed job, as far as it can be read. */
export interface FailedJob extends DeadLetterPosition {
  readonly job: StoredJob;
  /** Why its record cannot be read; absent if it can. */
  readonly unreadable?: string;
}

/** Ids that are read in one command, and jobs that are held at the same time for a queue. */
const PAGE = 25;

/** Those that failed at this moment or earlier, and come after the position: the latest first. */
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
 * Those of one queue. What is taken away or fails meanwhile makes none come twice, and none be left out. One whose time
 * cannot be read has that of the one before it, else of the one after it.
 */
async function* failedIn(
  store: Store,
  queue: string,
  untilMs: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<FailedJob> {
  let at = untilMs;
  // Of the same millisecond: their order is not the same in every store.
  let together: [id: string, found: Found][] = [];
  const sorted = () =>
    together
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
      const own = momentOf(found.job.finishedAt);
      // Meanwhile it has been replayed, or has failed again.
      if (own === undefined ? !(await isFailed(store, queue, id, found)) : own > at) continue;
      if (own !== undefined && own !== at) {
        if (hasTime) {
          yield* sorted();
          together = [];
          seen.clear();
        }
        at = own;
      }
      hasTime ||= own !== undefined;
      seen.add(id);
      together.push([id, found]);
    }
    page = await pageAfter(store, queue, page, at);
  }
  yield* sorted();
}

/** Ids of failed jobs, the latest first, and the place after the last one. */
interface Page {
  readonly ids: readonly string[];
  readonly end: number;
  readonly last: string | undefined;
  /** Nothing stands there. */
  readonly isEnd: boolean;
}

/** The page after another one, whose last one failed at this moment, by which it is found where others come and go. */
async function pageAfter(store: Store, queue: string, { end, last }: Page, failedAt: number): Promise<Page> {
  const [first, ...ids] = await idsOf(store, queue, end - 1, end + PAGE - 1);
  if (first !== last) return pageUntil(store, queue, failedAt);
  return { ids, end: end + ids.length, last: ids.at(-1), isEnd: ids.length === 0 };
}

/** The first page of those that failed at this moment or earlier; some later ones may stand before them. */
async function pageUntil(store: Store, queue: string, untilMs: number): Promise<Page> {
  for (;;) {
    const start = untilMs === Number.POSITIVE_INFINITY ? 0 : await firstUntil(store, queue, untilMs);
    const page = await pageAt(store, queue, start, untilMs);
    if (page !== undefined) return page;
  }
}

/**
 * The page from a place on; undefined unless all before it failed later than this moment, since others have come or gone.
 * Times only grow, so one that failed later did so also when the page that begins with it is read afterwards.
 */
async function pageAt(
  store: Store,
  queue: string,
  place: number,
  untilMs: number,
): Promise<Page | undefined> {
  const spoilt = new Set<string>();
  for (let start = place; start > 0; start -= 1) {
    const [before] = await idsOf(store, queue, start - 1, start - 1);
    const time = before === undefined ? undefined : await timeOf(store, queue, before);
    if (before === undefined || (time !== undefined && time <= untilMs)) return undefined;
    if (time === undefined) {
      spoilt.add(before); // as late as the one before it
      continue;
    }
    const [same, ...ids] = await idsOf(store, queue, start - 1, start + PAGE - 1);
    if (same !== before) return undefined;
    return pageOf(ids, start, spoilt);
  }
  return pageOf(await idsOf(store, queue, 0, PAGE - 1), 0, spoilt);
}

function pageOf(ids: readonly string[], start: number, spoilt: ReadonlySet<string>): Page {
  const wanted = ids.filter((id) => !spoilt.has(id));
  return { ids: wanted, end: start + ids.length, last: ids.at(-1), isEnd: ids.length === 0 };
}

function idsOf(store: Store, queue: string, first: number, last: number): Promise<string[]> {
  return store.on(queue, (bull) => bull.getRanges(['failed'], first, last, false));
}

/** How many of a queue failed later than this moment. */
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

/** When the one at this place failed; long ago if there is none. */
async function timeAt(store: Store, queue: string, place: number): Promise<number> {
  for (const step of [-1, 1]) {
    for (let at = place; at >= 0; at += step) {
      const [id] = await idsOf(store, queue, at, at);
      if (id === undefined) break;
      const time = await timeOf(store, queue, id);
      if (time !== undefined) return time;
    }
  }
  return Number.NEGATIVE_INFINITY;
}

/** When a job failed; undefined if that cannot be read, or it waits again. */
async function timeOf(store: Store, queue: string, id: string): Promise<number | undefined> {
  const json = await store.on(queue, (bull) => bull.getBackend().getJobData(id).catch(ifBroken));
  return momentOf(json?.finishedOn);
}

/** Whether a job without a time has failed: its record may be spoilt. */
async function isFailed(store: Store, queue: string, id: string, { unreadable }: Found): Promise<boolean> {
  return unreadable !== undefined || (await store.on(queue, (bull) => bull.getJobState(id))) === 'failed';
}

/** What can be read of a failed job; undefined if the store does not hold it. */
export async function readFailed(store: Store, queue: string, id: string): Promise<Found | undefined> {
  const job = await knownJob(store, { queue, id });
  return job && { job, ...(job.problem !== undefined && { unreadable: job.problem }) };
}

/** A place in the order of the dead letters: the latest first, then by queue, then by id. */
export interface DeadLetterPosition {
  /** When it failed, in milliseconds since 1970. */
  readonly at: number;
  readonly queue: string;
  readonly id: string;
}

/** Negative if `a` comes before `b`. */
export function compareDeadLetters(a: DeadLetterPosition, b: DeadLetterPosition): number {
  if (a.at !== b.at) return b.at - a.at;
  if (a.queue !== b.queue) return a.queue < b.queue ? -1 : 1;
  return a.id === b.id ? 0 : a.id > b.id ? -1 : 1;
}
