/** Emptying a queue of what waits, a slice at a time: what Umbel asks for on every store, see `primitives/purge.ts` of the core. */
import type { LeftJob, PurgedSet, PurgeRequest, PurgeSlice, PurgeStart } from '@umbel/core/internal';
import { forget, freeDeduplication } from './family.js';
import type { JobRecord } from './job-record.js';
import type { QueueData } from './queue.js';
import { isNextOfScheduler } from './schedulers.js';

/** Jobs that one slice looks at, as on Redis. */
const AT_ONCE = 250;
/** The lower half of a score in `prioritized` counts what is added there. */
const PRIORITY_STEP = 2 ** 32;

export function purgeStart(queue: QueueData, set: PurgedSet): PurgeStart {
  const isMoved = set === 'wait';
  if (set === 'wait') return { count: queue.wait.size, cursor: queue.wait.range(0, 0)[0]?.id ?? '', isMoved };
  const counter = set === 'prioritized' ? queue.priorityCounter : '';
  return { count: queue[set].size, cursor: `${counter} 0 0`, isMoved };
}

export function purgeSlice(queue: QueueData, set: PurgedSet, request: PurgeRequest): PurgeSlice {
  return set === 'wait' ? purgeList(queue, request) : purgeSet(queue, set, request);
}

function purgeList(queue: QueueData, { cursor, limit, settled, sentBy }: PurgeRequest): PurgeSlice {
  const isSettled = new Set(settled);
  const slice = new Slice(queue, 'wait', sentBy);
  const most = Math.min(limit, AT_ONCE);
  const size = most + settled.length;
  const jobs = size === 0 ? [] : queue.wait.range(-size, -1).reverse();
  const moved: JobRecord[] = [];
  let isOver = jobs.length < size;
  for (const job of jobs) {
    if (isSettled.has(job.id)) {
      if (job.id !== cursor || slice.look(job, true) !== 'gone') moved.push(job);
    } else if (slice.seen >= most) {
      isOver = false;
      break;
    } else if (job.id === cursor) {
      if (isNextOfScheduler(queue, job.id)) moved.push(job);
      else slice.leave(job.id, '');
      isOver = true;
      break;
    } else {
      const what = slice.look(job, false);
      if (what === 'later' && !job.id.includes('.')) {
        isOver = true;
        break;
      }
      if (what === 'later' || what === 'stays') moved.push(job);
    }
  }
  for (const job of moved) {
    queue.detach(job);
    queue.pushHead('wait', job);
  }
  return slice.answer(isOver ? undefined : cursor);
}

function purgeSet(
  queue: QueueData,
  set: Exclude<PurgedSet, 'wait'>,
  { cursor, limit, sentBy }: PurgeRequest,
): PurgeSlice {
  const [counter = '', start = 0, passed = 0] = cursor
    .split(' ')
    .map((part, at) => (at === 0 ? part : Number(part)));
  let [from, skip] = [Number(start), Number(passed)];
  const slice = new Slice(queue, set, sentBy);
  const most = Math.min(limit, AT_ONCE);
  const jobs: JobRecord[] = [];
  let passing = skip;
  for (const job of queue.sorted(set)) {
    if (jobs.length >= most) break;
    if (job.score < from) continue;
    if (passing > 0) passing -= 1;
    else jobs.push(job);
  }
  for (const job of jobs) {
    const isLater = counter !== '' && job.score % PRIORITY_STEP > Number(counter);
    if (!isLater && slice.look(job, counter !== '') === 'gone') continue;
    if (job.score === from) skip += 1;
    else [from, skip] = [job.score, 1];
  }
  return slice.answer(jobs.length < most ? undefined : `${counter} ${from} ${skip}`);
}

/** What one slice does with the jobs that it comes to. */
class Slice {
  seen = 0;
  #removed = 0;
  readonly #left: LeftJob[] = [];
  readonly #queue: QueueData;
  readonly #set: PurgedSet;
  readonly #sentBy: number;

  constructor(queue: QueueData, set: PurgedSet, sentBy: number) {
    this.#queue = queue;
    this.#set = set;
    this.#sentBy = sentBy;
  }

  /** Removes the job if no other one stands above or below it. */
  look(job: JobRecord, hasCome: boolean): 'later' | 'stays' | 'left' | 'gone' {
    const { id, parentKey, children } = job;
    if (!hasCome && job.timestamp > this.#sentBy && job.data.startsWith('{"umbel":')) return 'later';
    this.seen += 1;
    if (isNextOfScheduler(this.#queue, job.id)) return 'stays';
    if (parentKey !== undefined || id.includes('.') || children !== undefined) {
      this.#left.push({ id, run: '' });
      return 'left';
    }
    freeDeduplication(this.#queue, job);
    forget(this.#queue, job);
    this.#queue.emitTrimmed('event', 'removed', 'jobId', id, 'prev', this.#set);
    this.#removed += 1;
    return 'gone';
  }

  leave(id: string, run: string): void {
    this.seen += 1;
    this.#left.push({ id, run });
  }

  answer(next: string | undefined): PurgeSlice {
    const { seen } = this;
    return { removed: this.#removed, seen, left: this.#left, ...(next !== undefined && { next }) };
  }
}
