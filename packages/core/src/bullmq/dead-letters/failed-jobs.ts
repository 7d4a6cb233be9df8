/** The failed jobs of several queues in one order, read page by page. */
import type { Store } from '../store.js';
import type { StoredJob } from '../stored-job.js';
import { inOrder, type Position } from './query.js';

/** A failed job, as far as it can be read. */
export interface FailedJob extends Position {
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
  { untilMs, after }: { readonly untilMs: number | undefined; readonly after: Position | undefined },
): AsyncGenerator<FailedJob> {
  const bounds = [untilMs, after?.at].filter((bound) => bound !== undefined);
  const from = bounds.length === 0 ? undefined : Math.min(...bounds);
  const streams = queues.map((queue) => failedIn(store, queue, from));
  const heads = await Promise.all(streams.map(nextOf));
  for (;;) {
    let first: FailedJob | undefined;
    for (const head of heads)
      if (head !== undefined && (first === undefined || inOrder(head, first) < 0)) first = head;
    if (first === undefined) return;
    if (after === undefined || inOrder(after, first) < 0) yield first;
    const index = heads.indexOf(first);
    const stream = streams[index];
    heads[index] = stream && (await nextOf(stream));
  }
}

async function nextOf(stream: AsyncGenerator<FailedJob>): Promise<FailedJob | undefined> {
  const { done, value } = await stream.next();
  return done ? undefined : value;
}

/** Those of one queue. What is taken away or fails meanwhile makes none come twice, and none be left out. */
async function* failedIn(store: Store, queue: string, from: number | undefined): AsyncGenerator<FailedJob> {
  let offset = from === undefined ? 0 : await firstUntil(store, queue, from);
  let at = from ?? Number.POSITIVE_INFINITY;
  let last: string | undefined;
  // The order of what failed in the same millisecond is not the same in every store.
  let together: FailedJob[] = [];
  const seen = new Set<string>();
  for (;;) {
    let ids = await idsOf(store, queue, last === undefined ? offset : offset - 1, offset + PAGE - 1);
    if (last !== undefined && ids[0] === last) ids.shift();
    else if (last !== undefined) {
      // Others have been taken away, or have failed.
      offset = await firstUntil(store, queue, at);
      ids = await idsOf(store, queue, offset, offset + PAGE - 1);
    }
    if (ids.length === 0) break;
    offset += ids.length;
    last = ids.at(-1);
    const read = await Promise.all(ids.map((id) => readFailed(store, queue, id)));
    for (const [index, found] of read.entries()) {
      const id = ids[index] ?? '';
      if (found === undefined || seen.has(id)) continue;
      // One whose time cannot be read stands beside the one before it.
      const own = Math.min(found.job.finishedAt ?? at, at);
      if (own !== at) {
        yield* together.sort(inOrder);
        together = [];
        seen.clear();
        at = own;
      }
      seen.add(id);
      together.push({ ...found, at: Number.isFinite(at) ? at : 0, queue, id });
    }
  }
  yield* together.sort(inOrder);
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
    const found = await timeFrom(store, queue, middle, high);
    if (found !== undefined && found.at > untilMs) low = found.index + 1;
    else high = middle;
  }
  return low;
}

/** When the first one failed, of those between two places, whose time can be read. */
async function timeFrom(
  store: Store,
  queue: string,
  from: number,
  to: number,
): Promise<{ readonly at: number; readonly index: number } | undefined> {
  for (let index = from; index < to; index += 1) {
    const [id] = await idsOf(store, queue, index, index);
    if (id === undefined) return undefined;
    const at = (await readFailed(store, queue, id))?.job.finishedAt;
    if (at !== undefined) return { at, index };
  }
  return undefined;
}

/** What can be read of a failed job; undefined if it is gone. */
export async function readFailed(
  store: Store,
  queue: string,
  id: string,
): Promise<Pick<FailedJob, 'job' | 'unreadable'> | undefined> {
  const job = await store.job(queue, id);
  if (job !== undefined) return { job };
  const nothing = { id, queue, envelope: undefined, progress: undefined, ownState: undefined };
  try {
    const json = await store.on(queue, (bull) => bull.getBackend().getJobData(id));
    if (json === undefined) return undefined;
    return {
      job: {
        ...nothing,
        name: json.name || 'unknown',
        attempts: json.attemptsMade ?? 0,
        enqueuedAt: json.timestamp,
        startedAt: json.processedOn,
        finishedAt: json.finishedOn,
        failedReason: json.failedReason,
      },
      unreadable: 'its data is no JSON',
    };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const times = { enqueuedAt: 0, startedAt: undefined, finishedAt: undefined };
    return {
      job: { ...nothing, name: 'unknown', attempts: 0, ...times, failedReason: undefined },
      unreadable: 'its record is no JSON',
    };
  }
}
