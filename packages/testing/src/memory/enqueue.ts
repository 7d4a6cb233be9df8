import type { JobRecord } from './job-record.js';
import type { QueueData } from './queue-data.js';

const PRIORITY_STEP = 2 ** 32;
// Delayed jobs of one millisecond keep their order by the low bits of the score.
const DELAY_STEP = 2 ** 12;

/** The moment a delayed job comes due. */
export function dueTime(job: JobRecord): number {
  return Math.floor(job.score / DELAY_STEP);
}

/** The highest delayed score that is due at `now`. */
export function dueScore(now: number): number {
  return (now + 1) * DELAY_STEP - 1;
}

/** The highest delayed score that is due before `moment`. */
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

/** How many prioritized jobs have this priority. */
export function countPriority(queue: QueueData, priority: number): number {
  const set = queue.prioritized;
  return set.countUpTo((priority + 1) * PRIORITY_STEP - 1) - set.countUpTo(priority * PRIORITY_STEP - 1);
}

/** Adds to the waiting jobs: behind the others, or as the next to be taken. */
export function addWaiting(queue: QueueData, job: JobRecord, next: boolean): void {
  if (next) queue.pushTail('wait', job);
  else queue.pushHead('wait', job);
}

/** The score and the moment of a job that is to run `delay` milliseconds after `from`. */
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

/** As {@link addDelayed} for a parent whose children are done: ties are left alone and no event is trimmed. */
export function addDelayedParent(queue: QueueData, job: JobRecord, at: number): void {
  queue.place('delayed', job, at * DELAY_STEP);
  queue.emit('event', 'delayed', 'jobId', job.id, 'delay', String(at));
}
