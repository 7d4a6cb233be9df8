/** Maintenance commands of the memory store: promote, change, remove, drain, clean, obliterate and purge. */

import type { LeftJob, PurgedSet, PurgeRequest, PurgeSlice, PurgeStart } from '@umbel/core/internal';
import { ErrorCode, type FinishedStatus } from 'bullmq';
import { addFirstOfPriority, addPrioritized, addWaiting, delayedScore, wakeWorkers } from './enqueue.js';
import { forget, freeDeduplication, isTreeLocked, reattachChild, removeJob, removeTree } from './family.js';
import { clearOutcome } from './finish.js';
import type { JobRecord, Placement } from './job-record.js';
import type { QueueData } from './queue.js';
import { isNextOfScheduler, schedulerJobId } from './schedulers.js';
import { isLocked } from './take.js';

export function pause(queue: QueueData, paused: boolean): void {
  if (paused) queue.meta.set('paused', '1');
  else queue.meta.delete('paused');
  queue.emit('event', paused ? 'paused' : 'resumed');
  wakeWorkers(queue);
}

/** Makes a delayed job wait. Returns 0, or the code of the refusal. */
export function promote(queue: QueueData, jobId: string): number {
  const job = queue.jobs.get(jobId);
  if (!job || !queue.take('delayed', job)) return ErrorCode.JobNotInState;
  if (job.priority > 0) addPrioritized(queue, job, job.priority);
  else queue.pushHead('wait', job);
  queue.emit('event', 'waiting', 'jobId', jobId, 'prev', 'delayed');
  job.delay = 0;
  wakeWorkers(queue);
  return 0;
}

/** Moves jobs of a state to the waiting ones. Returns 1 if there may be more, else 0. */
export function moveAllToWait(
  queue: QueueData,
  state: FinishedStatus | 'delayed',
  count: number,
  until: number,
): number {
  const jobs = queue.sorted(state).upTo(until, count);
  for (const job of jobs) {
    queue.detach(job);
    if (state !== 'delayed') {
      clearOutcome(job, state);
      reattachChild(queue, job, state);
    }
    queue.emitTrimmed('event', 'waiting', 'jobId', job.id, 'prev', state);
    queue.pushHead('wait', job);
  }
  if (jobs.length > 0) wakeWorkers(queue);
  return jobs.length >= count ? 1 : 0;
}

/** Changes the delay of a delayed job to `delay` milliseconds from now. Returns 0, or the code of the refusal. */
export function changeDelay(queue: QueueData, jobId: string, delay: number): number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  const { score, at } = delayedScore(queue, queue.now, delay);
  if (!queue.take('delayed', job)) return ErrorCode.JobNotInState;
  job.delay = delay;
  queue.place('delayed', job, score);
  queue.emitTrimmed('event', 'delayed', 'jobId', jobId, 'delay', String(at));
  wakeWorkers(queue);
  return 0;
}

/** Changes the priority of a job. Returns 0, or the code of the refusal. */
export function changePriority(queue: QueueData, jobId: string, priority: number, first: boolean): number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  if (queue.take('prioritized', job) || queue.take('wait', job)) {
    if (priority === 0) addWaiting(queue, job, first);
    else if (first) addFirstOfPriority(queue, job, priority);
    else addPrioritized(queue, job, priority);
    wakeWorkers(queue);
  }
  job.priority = priority;
  return 0;
}

/** Removes a job. Returns 1, 0 if the job or a pending descendant is locked, or the code of the refusal. */
export function remove(queue: QueueData, jobId: string, children: boolean): number {
  if (isNextOfScheduler(queue, jobId)) return ErrorCode.JobBelongsToJobScheduler;
  const job = queue.jobs.get(jobId);
  if (!job) return 1;
  if (isTreeLocked(queue, job, children)) return 0;
  removeTree(queue, job, { children });
  wakeWorkers(queue);
  return 1;
}

/** Removes the waiting, prioritized and, with `delayed`, delayed jobs, except the next jobs of schedulers. */
export function drain(queue: QueueData, delayed: boolean): void {
  const spared = new Set([...queue.schedule].map(({ id, score }) => schedulerJobId(id, score)));
  const jobs = [...queue.wait, ...(delayed ? queue.delayed : []), ...queue.prioritized];
  for (const job of jobs) if (!spared.has(job.id)) removeJob(queue, job, true);
}

/** Removes jobs of a state that are as old as `until`, up to `limit` if it is positive. Returns their ids. */
export function clean(queue: QueueData, state: string, until: number, limit: number): string[] {
  const removed: string[] = [];
  for (const job of oldest(queue, state, until, limit)) {
    if (limit > 0 && removed.length >= limit) break;
    if (!isCleanable(queue, job, state, until)) continue;
    removeJob(queue, job, true);
    removed.push(job.id);
  }
  queue.emit('event', 'cleaned', 'count', String(removed.length));
  return removed;
}

function oldest(queue: QueueData, state: string, until: number, limit: number): JobRecord[] {
  const most = limit > 0 ? limit : Infinity;
  switch (state) {
    case 'wait':
    case 'active':
      return queue[state].range(limit > 0 ? -limit : 0, -1);
    case 'delayed':
    case 'prioritized':
      return queue[state].upTo(Infinity, most);
    case 'completed':
    case 'failed':
    case 'waiting-children':
      return queue.sorted(state).upTo(until, most);
    default:
      return [];
  }
}

function isCleanable(queue: QueueData, job: JobRecord, state: string, until: number): boolean {
  if (state === 'completed' || state === 'failed' || state === 'waiting-children') return true;
  if (isNextOfScheduler(queue, job.id)) return false;
  if (state === 'active' && isLocked(queue, job)) return false;
  const finished = state === 'wait' || state === 'active' ? job.finishedOn : undefined;
  const started = state === 'prioritized' ? undefined : job.processedOn;
  return (finished ?? started ?? job.timestamp) <= until;
}

/** Removes a queue in steps. Returns 0 if it is empty, 1 if jobs remain, -1 if it is not paused, -2 for active jobs. */
export function obliterate(queue: QueueData, count: number, force: boolean): number {
  if (!queue.meta.paused) return -1;
  if (queue.active.size > 0 && !force) return -2;
  let remaining = count;
  const clear = (place: Placement): boolean => {
    const jobs = place === 'wait' || place === 'active' ? queue[place] : queue.sorted(place);
    for (const job of [...jobs].slice(0, remaining)) {
      job.lockToken = undefined;
      removeJob(queue, job, true);
      remaining -= 1;
    }
    return remaining <= 0;
  };
  if (clear('active') || clear('delayed')) return 1;
  for (const scheduler of [...queue.schedule].slice(0, remaining)) {
    queue.schedule.remove(scheduler);
    queue.schedulers.delete(scheduler.id);
    remaining -= 1;
  }
  if (remaining <= 0) return 1;
  for (const place of ['completed', 'wait', 'prioritized', 'failed'] as const) if (clear(place)) return 1;
  queue.events.clear();
  queue.meta.clear();
  queue.metrics.clear();
  queue.stalling.clear();
  queue.stalledCheckUntil = -Infinity;
  queue.lastId = 0;
  queue.priorityCounter = 0;
  return 0;
}

/** Removes jobs in no state. Returns their number. */
export function removeOrphans(queue: QueueData, limit: number): number {
  let removed = 0;
  for (const job of [...queue.jobs.values()]) {
    if (limit > 0 && removed >= limit) break;
    if (job.placement !== undefined) continue;
    forget(queue, job);
    removed += 1;
  }
  return removed;
}

// Purging a queue slice by slice, as core asks for on every store.

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
