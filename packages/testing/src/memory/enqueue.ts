/** Adding jobs to the waiting, prioritized and delayed sets of the memory store, and waking blocked workers. */

import { LONGEST_TIMEOUT } from './clock.js';
import type { JobRecord } from './job-record.js';
import { limitedFor, windowLeft } from './limits.js';
import type { QueueData, Waiter } from './queue.js';

const PRIORITY_STEP = 2 ** 32;
/** The low bits of the score keep the order of jobs that are due in the same millisecond. */
const DELAY_STEP = 2 ** 12;

/** Returns the time at which a delayed job is due. */
export function dueTime(job: JobRecord): number {
  return Math.floor(job.score / DELAY_STEP);
}

/** Returns the highest delayed score that is due at `now`. */
function dueScore(now: number): number {
  return (now + 1) * DELAY_STEP - 1;
}

/** Returns the highest delayed score that is due before `moment`. */
export function dueScoreBefore(moment: number): number {
  return moment * DELAY_STEP - 1;
}

/** Adds to the prioritized jobs, behind those of equal priority. */
export function addPrioritized(queue: QueueData, job: JobRecord, priority: number): void {
  queue.priorityCounter += 1;
  queue.place('prioritized', job, priority * PRIORITY_STEP + (queue.priorityCounter % PRIORITY_STEP));
}

/** Adds to the prioritized jobs, before those of equal priority. */
export function addFirstOfPriority(queue: QueueData, job: JobRecord, priority: number): void {
  queue.place('prioritized', job, priority * PRIORITY_STEP);
}

/** Returns the number of prioritized jobs with this priority. */
export function countPriority(queue: QueueData, priority: number): number {
  const set = queue.prioritized;
  return set.countUpTo((priority + 1) * PRIORITY_STEP - 1) - set.countUpTo(priority * PRIORITY_STEP - 1);
}

/** Adds to the waiting jobs: behind the others, or as the next to be taken. */
export function addWaiting(queue: QueueData, job: JobRecord, next: boolean): void {
  if (next) queue.pushTail('wait', job);
  else queue.pushHead('wait', job);
}

/** Returns the score and the due time of a job that is delayed by `delay` milliseconds after `from`. */
export function delayedScore(queue: QueueData, from: number, delay: number): { score: number; at: number } {
  const at = delay > 0 ? from + delay : from;
  const lowest = at * DELAY_STEP;
  const highest = lowest + DELAY_STEP - 1;
  const last = queue.delayed.lastUpTo(highest);
  if (!last || last.score < lowest) return { score: lowest, at };
  return { score: Math.min(last.score + 1, highest), at };
}

/** Adds to the delayed jobs and emits the event. */
export function addDelayed(queue: QueueData, job: JobRecord, from: number, delay: number): void {
  const { score, at } = delayedScore(queue, from, delay);
  queue.place('delayed', job, score);
  queue.emitTrimmed('event', 'delayed', 'jobId', job.id, 'delay', String(at));
}

/** Like {@link addDelayed}, for a parent whose children have ended: without ordering of ties, and without trimming events. */
export function addDelayedParent(queue: QueueData, job: JobRecord, at: number): void {
  queue.place('delayed', job, at * DELAY_STEP);
  queue.emit('event', 'delayed', 'jobId', job.id, 'delay', String(at));
}

const BATCH = 1000;

/** Moves due delayed jobs to the waiting or prioritized ones, 1000 at most. */
export function promoteDue(queue: QueueData, now: number): void {
  const limit = dueScore(now);
  const first = queue.delayed.first();
  if (!first || first.score > limit) return;
  for (const job of queue.delayed.upTo(limit, BATCH)) {
    queue.detach(job);
    if (job.priority > 0) addPrioritized(queue, job, job.priority);
    else queue.pushHead('wait', job);
    job.delay = 0;
    queue.emit('event', 'waiting', 'jobId', job.id, 'prev', 'delayed');
  }
}

/** Whether a worker with the limit `maxJobs` would get a job now. */
export function canTake(queue: QueueData, maxJobs: number | undefined): boolean {
  if (queue.wait.size === 0 && queue.prioritized.size === 0) return false;
  return queue.isOpen() && limitedFor(queue, queue.meta.max ?? maxJobs) === 0;
}

/**
 * Wakes one blocked worker if it could take a job, and sets a timer for the next time at which one could.
 * It is called after each change. A worker that takes a job calls it again, which wakes the next one.
 */
export function wakeWorkers(queue: QueueData): void {
  if (queue.waiters.size === 0) return;
  const ready: Waiter[] = [];
  for (const waiter of queue.waiters) {
    if (canTake(queue, waiter.maxJobs)) ready.push(waiter);
    else if (waiter.maxJobs === undefined) break;
  }
  const chosen = ready[queue.directory.choice.pick(ready.length)];
  if (chosen) {
    queue.waiters.delete(chosen);
    chosen.wake();
  }
  setAlarm(queue);
}

/** Clears the timer when no worker waits, so that no timer outlives the workers. */
export function stopWaiting(queue: QueueData, waiter: Waiter): void {
  queue.waiters.delete(waiter);
  if (queue.waiters.size === 0) clearAlarm(queue);
}

function setAlarm(queue: QueueData): void {
  const { now } = queue;
  const at = queue.waiters.size === 0 ? Infinity : Math.min(nextDue(queue), now + limitLeft(queue));
  if (queue.alarm?.at === at) return;
  clearAlarm(queue);
  if (at === Infinity) return;
  const ms = Math.min(Math.max(at - now, 0), LONGEST_TIMEOUT);
  queue.alarm = { at, handle: queue.directory.time.clock.setTimeout(() => ring(queue), ms) };
}

function clearAlarm(queue: QueueData): void {
  if (queue.alarm) queue.directory.time.clock.clearTimeout(queue.alarm.handle);
  queue.alarm = undefined;
}

/** Returns the time at which the next delayed job is due. */
function nextDue(queue: QueueData): number {
  const first = queue.delayed.first();
  return first ? dueTime(first) : Infinity;
}

/** Returns how long a rate limit may delay jobs that could start otherwise. */
function limitLeft(queue: QueueData): number {
  const left = queue.wait.size > 0 || queue.prioritized.size > 0 ? windowLeft(queue) : 0;
  return left > 0 ? left : Infinity;
}

function ring(queue: QueueData): void {
  queue.alarm = undefined;
  promoteDue(queue, queue.now);
  wakeWorkers(queue);
}
