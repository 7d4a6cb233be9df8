import { LONGEST_TIMEOUT } from './clock.js';
import { dueTime } from './enqueue.js';
import { promoteDue } from './promote-due.js';
import type { QueueData, Waiter } from './queue-data.js';
import { limitedFor, windowLeft } from './rate-limit.js';

/** Whether a worker with the limit `maxJobs` would be handed a job now. */
export function canTake(queue: QueueData, maxJobs: number | undefined): boolean {
  if (queue.wait.size === 0 && queue.prioritized.size === 0) return false;
  return queue.isOpen() && limitedFor(queue, queue.meta.max ?? maxJobs) === 0;
}

/**
 * Wakes one blocked worker if it could take a job, and sets the alarm for the next moment at which one could.
 * Called after each change; a worker that takes a job calls it again, which wakes the next one.
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

/** Takes back the alarm when nobody waits for it, so that no timer outlives the workers. */
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

/** When the next delayed job comes due. */
function nextDue(queue: QueueData): number {
  const first = queue.delayed.first();
  return first ? dueTime(first) : Infinity;
}

/** How long a rate limit may hold back jobs that could be taken otherwise. */
function limitLeft(queue: QueueData): number {
  const left = queue.wait.size > 0 || queue.prioritized.size > 0 ? windowLeft(queue) : 0;
  return left > 0 ? left : Infinity;
}

function ring(queue: QueueData): void {
  queue.alarm = undefined;
  promoteDue(queue, queue.now);
  wakeWorkers(queue);
}
